"""GraphQL queries against a real server on loopback that lacks fields, refuses, and gives up on purpose."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any

import msgspec
import pytest

from sandbox.kit.http import Reply, reply
from scanner.collect.failures import SourceError
from scanner.collect.graphql import GraphqlClient, PartsQuery, QueryError, nodes_of
from tests.kit_source import CUT, Source, client, failure

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

PARTS = {"names": ["name"], "keys": ["keys { nodes { id } }"], "rules": ["rules { id user }", "rules { id }"]}


@pytest.fixture
def source() -> Iterator[Source]:
    made = Source()
    yield made
    made.close()


def graphql(source: Source, tmp_path: Path) -> GraphqlClient:
    return GraphqlClient(client(source, tmp_path, posts=["/graphql"]), "/graphql")


def parts_query(source: Source, tmp_path: Path, *, largest: int = 8, smallest: int = 1) -> PartsQuery:
    return PartsQuery(
        graphql(source, tmp_path),
        lambda selection: f"query Things($ids: [ID!]) {{ things(ids: $ids) {{ id {selection} }} }}",
        PARTS,
        largest=largest,
        smallest=smallest,
    )


def asked(source: Source) -> list[tuple[str, int]]:
    """Return of each request which fields it asked for, and of how many things."""
    bodies = [msgspec.json.decode(body) for body in source.bodies]
    return [
        (
            " ".join(re.findall(r"\b(name|keys|rules|user)\b", body["query"])),
            len(body["variables"]["ids"]),
        )
        for body in bodies
    ]


def ids(count: int) -> dict[str, list[str]]:
    return {"ids": [str(number) for number in range(count)]}


class Things:
    """A GraphQL server: knows some fields, and gives up on what is too much."""

    def __init__(
        self, source: Source, *, lacks: str = "", says: str = "", most: int = 1000, parts: int = 9
    ) -> None:
        self.source = source
        self.lacks = lacks
        self.says = says or "Field '{}' doesn't exist on type 'Thing'"
        self.most = most
        self.parts = parts
        source.answers = [self.answer]

    def answer(self, _target: str) -> Reply:
        fields, count = asked(self.source)[-1]
        names = fields.split()
        if self.lacks and self.lacks in names:
            return reply(200, {"errors": [{"message": self.says.format(self.lacks)}]})
        if len(names) > self.parts:
            return reply(
                200,
                {"errors": [{"message": "Query has complexity of 300, which exceeds max complexity of 250"}]},
            )
        shown = {
            "name": "n",
            "keys": {"nodes": []},
            "rules": {"id": 1, **({"user": 2} if "user" in names else {})},
        }
        things = [
            {"id": number, **{name: shown[name] for name in names if name in shown}}
            for number in range(count)
        ]
        if count > self.most:
            error = {
                "type": "RESOURCE_LIMITS_EXCEEDED",
                "message": "Resource limits for this query exceeded.",
            }
            return reply(200, {"data": {"things": things[: self.most]}, "errors": [error]})
        return reply(200, {"data": {"things": things}})


@pytest.mark.parametrize(
    "document", ["mutation { x }", "query A { a } mutation B { b }", "subscription { x }"]
)
def test_only_queries_are_sent(source: Source, tmp_path: Path, document: str) -> None:
    with pytest.raises(ValueError, match="only queries"):
        graphql(source, tmp_path).query(document, {})
    assert source.seen == []


def test_a_name_in_a_query_may_be_any_word(source: Source, tmp_path: Path) -> None:
    source.answers = [reply(200, {"data": {"x": 1}})]
    assert graphql(source, tmp_path).query('{ x(name: "mutation") } # subscription', {}).data == {"x": 1}


@pytest.mark.parametrize(
    ("body", "reason"),
    [
        ({"errors": [{"type": "FORBIDDEN", "message": "no"}], "data": None}, "denied"),
        ({"errors": [{"message": "you don't have permission to perform this action"}]}, "denied"),
        ({"errors": [{"message": "Field 'x' doesn't exist on type 'Y'"}]}, "unsupported"),
        (
            {"errors": [{"message": "Query has complexity of 300, which exceeds max complexity of 250"}]},
            "unsupported",
        ),
        ({"errors": [{"message": "Timeout on Query.x"}]}, "unreachable"),
        ({"errors": [{"message": "Internal server error"}]}, "unreachable"),
        ({"errors": ["odd"]}, "unreachable"),
        ({"errors": [{"message": "no", "path": 7, "extensions": 3, "type": ["x"]}]}, "unreachable"),
        ({}, "malformed"),
        ({"data": []}, "malformed"),
        ([], "malformed"),
    ],
)
def test_what_errors_without_data_mean(source: Source, tmp_path: Path, body: Any, reason: str) -> None:
    source.answers = [reply(200, body)]
    assert failure(lambda: graphql(source, tmp_path).query("{ x }", {})).reason == reason


@pytest.mark.parametrize("error", [{"type": "RATE_LIMITED"}, {"extensions": {"code": "THROTTLED"}}])
def test_a_rate_limit_inside_a_200_is_waited_out(
    source: Source, tmp_path: Path, error: dict[str, Any]
) -> None:
    source.answers = [reply(200, {"errors": [error]}), reply(200, {"data": {"x": 1}})]
    assert graphql(source, tmp_path).query("{ x }", {}).data == {"x": 1}
    source.answers = [reply(200, {"errors": [error]})]
    assert failure(lambda: graphql(source, tmp_path).query("{ x }", {})).reason == "throttled"


# Connections


def connection(nodes: list[Any], after: str | None = None, **more: Any) -> Reply:
    info = {"hasNextPage": after is not None, "endCursor": after}
    return reply(200, {"data": {"a": {"b": {"nodes": nodes, "pageInfo": info, **more}}}})


def test_a_connection_is_read_to_its_end(source: Source, tmp_path: Path) -> None:
    source.answers = [connection([{"id": 1}], "x", totalCount=2), connection([{"id": 2}], totalCount=2)]
    found = graphql(source, tmp_path).connection("{ a }", {"org": "acme"}, at="a/b")
    assert list(found) == [{"id": 1}, {"id": 2}]
    variables = [msgspec.json.decode(body)["variables"] for body in source.bodies]
    assert variables == [{"org": "acme", "cursor": None}, {"org": "acme", "cursor": "x"}]


@pytest.mark.parametrize(
    ("answer", "reason"),
    [
        (connection([{"id": 1}], "x"), "malformed"),
        (connection([], totalCount=17), "truncated"),
        (connection([{"id": 1}, None], totalCount=2), "malformed"),
        (reply(200, {"data": {"a": {"b": {"totalCount": 0}}}}), "malformed"),
        (reply(200, {"data": {"a": None}}), "denied"),
        (reply(200, {"data": {"a": None}, "errors": [{"message": "Timeout on Query.a"}]}), "unreachable"),
    ],
    ids=["loop", "fewer than the total", "a node is null", "no nodes", "not shown", "not in time"],
)
def test_a_connection_that_is_not_whole_is_no_list(
    source: Source, tmp_path: Path, answer: Reply, reason: str
) -> None:
    source.answers = [answer]
    problem = failure(lambda: list(graphql(source, tmp_path).connection("{ a }", {}, at="a/b")))
    assert problem.reason == reason


def test_a_connection_without_an_end_is_truncated(source: Source, tmp_path: Path) -> None:
    def endless(_: str) -> Reply:
        number = len(source.bodies)
        return connection([{"id": number}], str(number))

    source.answers = [endless]
    asking = GraphqlClient(client(source, tmp_path, posts=["/graphql"], config={"max_pages": 5}), "/graphql")
    problem = failure(lambda: list(asking.connection("{ a }", {}, at="a/b")))
    assert (problem.reason, len(source.bodies)) == ("truncated", 5)


def test_empty_pages_without_an_end_are_malformed(source: Source, tmp_path: Path) -> None:
    source.answers = [lambda _: connection([], str(len(source.bodies)))]
    problem = failure(lambda: list(graphql(source, tmp_path).connection("{ a }", {}, at="a/b")))
    assert (problem.reason, len(source.bodies)) == ("malformed", 21)


@pytest.mark.parametrize(
    "info", [None, {}, {"hasNextPage": None}, {"hasNextPage": "no"}, {"hasNextPage": True, "endCursor": None}]
)
def test_a_page_that_does_not_say_what_follows_is_malformed(
    source: Source, tmp_path: Path, info: Any
) -> None:
    source.answers = [reply(200, {"data": {"a": {"nodes": [{"id": 1}], "pageInfo": info}}})]
    problem = failure(lambda: list(graphql(source, tmp_path).connection("{ a }", {}, at="a")))
    assert problem.reason == "malformed"


@pytest.mark.parametrize(
    "document",
    [
        "mutation { x }",
        "query { a } subscription { b }",
        'query { a(b: """" """) } mutation { y } #"',
        'query { a(b: "# no comment") } mutation { y }',
    ],
)
def test_what_is_no_query_is_not_sent(source: Source, tmp_path: Path, document: str) -> None:
    with pytest.raises(ValueError, match="only queries"):
        graphql(source, tmp_path).query(document, {})
    assert source.bodies == []


def test_the_word_of_a_mutation_in_a_text_is_no_mutation(source: Source, tmp_path: Path) -> None:
    source.answers = [reply(200, {"data": {"a": 1}})]
    document = 'query { a(b: "mutation", c: """a "mutation" """) } # mutation'
    assert graphql(source, tmp_path).query(document, {}).data == {"a": 1}


@pytest.mark.parametrize(
    ("shown", "whole", "some"),
    [
        (None, None, None),
        ({"nodes": None}, None, None),
        ({"nodes": []}, [], []),
        ({"nodes": [{"id": 1}]}, [{"id": 1}], [{"id": 1}]),
        ({"nodes": [{"id": 1}, None]}, None, [{"id": 1}]),
        ({"nodes": [{"id": 1}], "pageInfo": {"hasNextPage": True}}, None, [{"id": 1}]),
        ({"nodes": [], "totalCount": 17}, None, []),
    ],
)
def test_nodes_are_believed_when_they_are_all(shown: Any, whole: Any, some: Any) -> None:
    assert nodes_of(shown) == whole
    assert nodes_of(shown, whole=False) == some


# Parts


def test_all_is_asked_at_once_where_the_server_can(source: Source, tmp_path: Path) -> None:
    Things(source)
    answer = parts_query(source, tmp_path).ask(ids)
    assert asked(source) == [("name keys rules user", 8)]
    assert answer.data["things"][7] == {
        "id": 7,
        "name": "n",
        "keys": {"nodes": []},
        "rules": {"id": 1, "user": 2},
    }


def test_a_field_that_the_server_names_as_missing_is_left_out_for_good(
    source: Source, tmp_path: Path
) -> None:
    Things(source, lacks="keys")
    query = parts_query(source, tmp_path)
    assert [sorted(thing) for thing in query.ask(ids).data["things"]] == [["id", "name", "rules"]] * 8
    assert list(query.left_out) == ["keys"]
    query.ask(ids)
    assert asked(source) == [("name keys rules user", 8), ("name rules user", 8), ("name rules user", 8)]


def test_a_poorer_selection_is_asked_before_a_part_is_left_out(source: Source, tmp_path: Path) -> None:
    Things(source, lacks="user")
    query = parts_query(source, tmp_path)
    assert query.ask(ids).data["things"][0]["rules"] == {"id": 1}
    assert query.left_out == {}
    assert len(source.seen) == 2


def test_a_missing_field_that_is_not_named_is_found_by_halves(source: Source, tmp_path: Path) -> None:
    Things(source, lacks="keys", says="No such type in this schema")
    query = parts_query(source, tmp_path)
    assert [sorted(thing) for thing in query.ask(ids).data["things"]] == [["id", "name", "rules"]] * 8
    assert list(query.left_out) == ["keys"]


def test_what_is_too_complex_is_asked_in_parts_from_then_on(source: Source, tmp_path: Path) -> None:
    Things(source, parts=2)
    query = parts_query(source, tmp_path)
    assert sorted(query.ask(ids).data["things"][3]) == ["id", "keys", "name", "rules"]
    first = len(source.seen)
    query.ask(ids)
    assert asked(source)[first:] == [("name", 8), ("keys", 8), ("rules user", 8)]


def test_a_server_that_gives_up_is_asked_about_fewer_and_then_about_more_again(
    source: Source, tmp_path: Path
) -> None:
    Things(source, most=3)
    query = parts_query(source, tmp_path)
    assert len(query.ask(ids).data["things"]) == 2
    assert [count for _, count in asked(source)] == [8, 4, 2]
    assert query.size == 4


def test_server_errors_make_it_smaller_and_refusals_do_not(source: Source, tmp_path: Path) -> None:
    source.answers = [reply(502, {}), CUT, reply(200, {"data": {"things": []}})]
    assert parts_query(source, tmp_path).ask(ids).data == {"things": []}
    assert [count for _, count in asked(source)] == [8, 4, 2]
    source.answers = [reply(200, {"errors": [{"type": "FORBIDDEN", "message": "no"}]})]
    before = len(source.seen)
    assert failure(lambda: parts_query(source, tmp_path).ask(ids)).reason == "denied"
    assert len(source.seen) == before + 1


def test_where_even_the_smallest_is_too_much_it_is_reported(source: Source, tmp_path: Path) -> None:
    source.answers = [reply(504, {})]
    query = parts_query(source, tmp_path, smallest=4)
    assert failure(lambda: query.ask(ids)).reason == "unreachable"
    assert ([count for _, count in asked(source)], query.size) == ([8, 4], 4)


def test_part_of_an_answer_is_taken_when_the_server_cannot_give_more(source: Source, tmp_path: Path) -> None:
    Things(source, most=0)
    answer = parts_query(source, tmp_path).ask(ids)
    assert answer.data == {"things": []}
    assert [error.type for error in answer.errors] == ["RESOURCE_LIMITS_EXCEEDED"]


def test_a_server_that_lacks_what_is_no_part_is_reported(source: Source, tmp_path: Path) -> None:
    source.answers = [reply(200, {"errors": [{"message": "Field 'things' doesn't exist on type 'Query'"}]})]
    problem = failure(lambda: parts_query(source, tmp_path).ask(ids))
    assert isinstance(problem, QueryError)
    assert problem.lacks
    assert len(source.seen) < 12


def test_answers_about_other_objects_are_not_mixed(source: Source, tmp_path: Path) -> None:
    complexity = reply(200, {"errors": [{"message": "exceeds max complexity"}]})

    def mixed(number: int) -> Callable[[str], Reply]:
        return lambda _: reply(200, {"data": {"things": [{"id": number}]}})

    source.answers = [complexity, mixed(1), mixed(2)]
    with pytest.raises(SourceError, match="differ"):
        parts_query(source, tmp_path, largest=1).ask(ids)
