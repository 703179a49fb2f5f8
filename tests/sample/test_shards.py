"""The committed shards: their layout, their sizes, and what is promised of the captions."""

from __future__ import annotations

import io
import re
import tarfile
from collections import Counter

import numpy as np
from PIL import Image

from data_samples import SHARDS
from data_samples.clip_training.facts import Truths
from data_samples.drawing import PICTURE_SIDE
from data_samples.evaluate_clip import EXAMPLES, recorded_scene
from data_samples.noise import NOISE_KINDS
from data_samples.pairs import N_PAIRS, NOISE_PER_BLOCK, PAIRS_PER_BLOCK
from data_samples.plain_match import PlainMatcher
from data_samples.settings import HELD_OUT_BACKGROUNDS, HELD_OUT_COLOURS, HELD_OUT_PLACES, PLACES

MB = 1_000_000


def test_sizes() -> None:
    sizes = [path.stat().st_size for path in SHARDS.glob("*.tar")]
    assert len(sizes) >= 8
    assert max(sizes) < 8 * MB
    assert sum(file.stat().st_size for file in SHARDS.parent.rglob("*") if file.is_file()) < 50 * MB


def test_every_pair_is_complete_and_named_by_its_place(members) -> None:
    assert len(members) == N_PAIRS >= 8_000
    per_shard = Counter(member.shard for member in members)
    places: Counter[str] = Counter()
    for member in members:
        assert member.key == f"{member.shard.removesuffix('.tar')}{places[member.shard]:04}"
        places[member.shard] += 1
    assert set(per_shard.values()) == {N_PAIRS // len(per_shard)}


def test_text_and_record_agree(members) -> None:
    for member in members:
        record = member.record
        assert record["caption"] == member.text != ""
        assert record["key"] == member.key
        assert (record["status"], record["error_message"]) == ("success", None)
        assert (record["width"], record["height"]) == (PICTURE_SIDE, PICTURE_SIDE)
        assert record["original_width"] >= PICTURE_SIDE
        assert record["split"] in ("train", "test")
        assert record["noise"] is None or record["noise"] in NOISE_KINDS
        assert -1 <= record["similarity"] <= 1


def test_ids_and_addresses_are_unique_and_reserved(members) -> None:
    uids = {member.record["uid"] for member in members}
    assert len(uids) == len({member.record["url"] for member in members}) == len(members)
    assert all(re.fullmatch(r"[0-9a-f]{32}", uid) for uid in uids)
    reserved = re.compile(r"https://[a-z.]+(\.example|\.example\.(com|net|org))/[\w/.-]+")
    assert all(reserved.fullmatch(member.record["url"]) for member in members)


def test_pictures_open(members) -> None:
    for member in members[::23]:
        with Image.open(io.BytesIO(member.picture)) as picture:
            picture.load()
            assert (picture.format, picture.mode, picture.size) == ("WEBP", "RGB", (PICTURE_SIDE, PICTURE_SIDE))


def test_tar_headers_carry_no_trace_of_a_machine() -> None:
    for path in sorted(SHARDS.glob("*.tar")):
        with tarfile.open(path) as tar:
            assert {(m.mtime, m.uid, m.gid, m.uname, m.gname, m.mode) for m in tar} == {(0, 0, 0, "", "", 0o644)}


def test_noise_share_is_exact(members) -> None:
    noise = sum(member.record["noise"] is not None for member in members)
    assert noise == len(members) * NOISE_PER_BLOCK // PAIRS_PER_BLOCK
    assert 0.15 <= noise / len(members) <= 0.20


def test_one_pair_in_ten_matches_nothing_and_some_noise_matches(members, matcher: PlainMatcher) -> None:
    silent = [member for member in members if not matcher.matches(member.text)]
    assert 0.10 <= len(silent) / len(members) <= 0.16
    noise = {member.key for member in members if member.record["noise"] is not None}
    silent_noise = noise & {member.key for member in silent}
    assert len(silent_noise) / len(members) >= 0.10
    assert len(noise - silent_noise) >= 300


def test_prices_show_the_false_match(members, matcher: PlainMatcher) -> None:
    prices = [member.text for member in members if re.fullmatch(r"\$\d+\.99", member.text)]
    assert "$19.99" in prices
    assert len(prices) >= 20
    for price in prices:
        assert "99" in matcher.matches(price)


def test_every_kind_of_noise_and_of_markup_occurs(members) -> None:
    kinds = Counter(member.record["noise"] for member in members)
    assert all(kinds[kind] >= 30 for kind in NOISE_KINDS)
    marks = ["<b>", "<script>alert(1)</script>", "](https://example.org/x.png)", r"$\frac{1}{2}$", "\u202e", "&amp;"]
    for mark in marks:
        assert 1 <= sum(mark in member.text for member in members) <= 40, mark


def test_other_languages_occur(members) -> None:
    for words in (
        r"[а-яё]",
        r"[ぁ-んァ-ヶ]",
        r"\bEine?\b|\beine? [A-Z]",
        r"\bune? [a-zé]",
        r"\bun[ao]? \w+ (en|sobre)\b",
    ):
        assert sum(re.search(words, member.text) is not None for member in members) >= 8, words


def test_concepts_follow_a_zipf_law(members) -> None:
    shown = Counter(concept for member in members for concept in member.record["scene"]["concepts"])
    assert sum(count > 1_000 for count in shown.values()) >= 3
    assert sum(count < 5 for count in shown.values()) >= 200
    assert len(shown) >= 700
    head = [count for _, count in shown.most_common(100)]
    assert head[0] > 4 * head[9] > 16 * head[99]


def test_scenes_are_complete_ground_truth(members) -> None:
    places = Counter(member.record["scene"]["place"] for member in members)
    assert all(places[place] >= 100 for place in PLACES)
    for member in members:
        scene = member.record["scene"]
        assert len(scene["concepts"]) == len(scene["counts"]) == len(scene["colours"])
        assert scene["count"] == sum(scene["counts"])
        assert (scene["place"] is None) != (scene["background"] is None)


def test_what_people_ask_for_can_be_seen(members) -> None:
    scenes = [recorded_scene(member.record["scene"]) for member in members]
    truths = Truths(scenes)
    for text, fact in EXAMPLES.items():
        assert truths.of([fact], np.arange(len(scenes))).sum() >= 10, text


def test_held_out_combinations_are_only_in_the_test_split(members) -> None:
    held_out: Counter[tuple[str, str]] = Counter()
    for member in members:
        scene = member.record["scene"]
        for concept, colour in zip(scene["concepts"], scene["colours"], strict=True):
            backgrounds = (scene["background"] or "").split(" and ")
            found = {(concept, colour)} & HELD_OUT_COLOURS | {(concept, scene["place"])} & HELD_OUT_PLACES
            found |= {(concept, background) for background in backgrounds} & HELD_OUT_BACKGROUNDS
            held_out.update(found)
            assert not found or member.record["split"] == "test"
    assert set(held_out) == HELD_OUT_COLOURS | HELD_OUT_PLACES | HELD_OUT_BACKGROUNDS
    test_share = sum(member.record["split"] == "test" for member in members) / len(members)
    assert 0.08 <= test_share <= 0.18
