"""The frame that all pages share."""

from omnisyn.page import (
    bullet_list,
    data_address,
    definition_list,
    document,
    heading,
    navigation,
    research_notice,
    simulated_banner,
    table,
)


def test_the_page_holds_its_style_and_fetches_nothing() -> None:
    page = document("A & B", ["<p>one</p>", "<p>two</p>"], ".own { color: red; }\n")
    assert page.startswith("<!DOCTYPE html>\n")
    assert page.endswith("</body>\n</html>\n")
    assert "<title>A &amp; B</title>" in page
    assert page.index("--ink:") < page.index(".own {") < page.index("</style>")
    assert "<p>one</p>\n<p>two</p>" in page
    for word in ("http", "url(", "@import", "<script", "<link"):
        assert word not in page


def test_links_lead_to_headings_of_the_same_name() -> None:
    assert 'href="#site-1"' in navigation(["Site 1"])
    assert heading("Site 1") == '<h2 id="site-1">Site 1</h2>'
    assert heading("What it means", name="means") == '<h2 id="means">What it means</h2>'


def test_simulated_is_said_in_banner_and_heading() -> None:
    assert "SIMULATED DATA" in simulated_banner("all of it.")
    assert "SIMULATED" in heading("Site", simulated=True)
    assert "SIMULATED" not in heading("Site")


def test_foreign_words_are_escaped_everywhere() -> None:
    foreign = "<b>&"
    pieces = (
        heading(foreign),
        navigation([foreign]),
        bullet_list([foreign]),
        definition_list({foreign: foreign}),
        table([foreign], []),
        research_notice(foreign),
        simulated_banner(foreign),
    )
    for piece in pieces:
        assert "<b>" not in piece
        assert "&lt;b&gt;&amp;" in piece


def test_a_table_holds_columns_rows_and_a_caption_where_there_is_one() -> None:
    made = table(["a"], ["<tr><td>1</td></tr>"], "what <em>it</em> is")
    assert "<thead><tr><th>a</th></tr></thead><tbody><tr><td>1</td></tr></tbody>" in made
    assert "<caption>what <em>it</em> is</caption>" in made
    assert "<caption>" not in table(["a"], [])


def test_a_picture_lies_in_its_address() -> None:
    assert data_address(b"\x00\x01") == "data:image/png;base64,AAE="
    assert data_address(b"", "image/svg+xml").startswith("data:image/svg+xml;base64,")
