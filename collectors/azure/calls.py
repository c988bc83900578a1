"""How Azure is asked beside GET."""

GRAPH = "/providers/Microsoft.ResourceGraph/resources"
"""Azure Resource Graph: a POST that reads. https://learn.microsoft.com/rest/api/azureresourcegraph/resourcegraph/resources/resources"""
