import { expect, test } from "vitest";
import { ApiError } from "../api/http";
import { parse as parseBlock } from "../api/stream";
import type { Backend } from "../api/types";
import { pieces } from "../parts/terminal";
import { agentName } from "./agent";
import { Attempt } from "./attempt";
import { faultsOf } from "./fields";
import { bytes, duration, percent } from "./format";
import { labelChange, labelProblem, labelsFrom, labelTexts } from "./labels";
import { conditionOf, labelsIn, labelsSaid, measured } from "./metrics";
import { matches, parse } from "./search";
import { sorted } from "./sorting";
import { join, split } from "./words";

test("a command line is split as a shell splits it", () => {
  expect(split(`sh -c 'echo "a b"' "x\\"y" a\\ b ''`)).toEqual(["sh", "-c", 'echo "a b"', 'x"y', "a b", ""]);
  expect(split("  ")).toEqual([]);
  expect(() => split("echo 'open")).toThrow("The ' is not closed.");
});

test("words are joined into a line that splits into them", () => {
  const words = ["echo", "it's", "", "a b", "$HOME", "ä", "-x=1,2"];
  expect(split(join(words))).toEqual(words);
});

test("numbers are short", () => {
  expect([0, 999, 1000, 1_536_000, 27e9].map(bytes)).toEqual(["0 B", "999 B", "1.0 kB", "1.5 MB", "27 GB"]);
  expect([0, 59.6, 3600, 7500, 200_000].map(duration)).toEqual(["0 s", "1 min", "1 h", "2 h 5 min", "2 d"]);
  expect(percent(0.073)).toBe("7 %");
});

function backend(name: string, labels: Record<string, string> = {}, cpu?: number): Backend {
  const load = cpu === undefined ? null : { at: 0, cpu, memory: null, disk: null };
  return { id: name, name, connected: true, address: "192.0.2.1", facts: { labels }, load } as unknown as Backend;
}

test("a search finds by words and labels", () => {
  const web = backend("web-1", { site: "North Pole" });
  for (const found of ["", "WEB", "web north", "site=north", "192.0"]) expect(matches(parse(found), web)).toBe(true);
  for (const not of ["db", "web db", "site=south", "sit=north"]) expect(matches(parse(not), web)).toBe(false);
});

test("names are ordered by the numbers in them, and what is unknown comes last", () => {
  const all = [backend("web-10", {}, 0.2), backend("Web-9"), backend("db-1", {}, 0.7)];
  const names = (column: "name" | "cpu", isDown: boolean): string[] =>
    sorted(all, column, isDown, (each) => (each.load ? { cpu: [each.load.cpu], memory: undefined } : undefined)).map(
      (each) => each.name,
    );
  expect(names("name", false)).toEqual(["db-1", "Web-9", "web-10"]);
  expect(names("cpu", false)).toEqual(["web-10", "db-1", "Web-9"]);
  expect(names("cpu", true)).toEqual(["db-1", "web-10", "Web-9"]);
});

test("colours become classes, and other sequences vanish", () => {
  const found = pieces("a\u001b[1;31mred\u001b[0m\u001b[2K\u001b]0;title\u0007b", "");
  expect(found.filter((piece) => piece.text)).toEqual([
    { text: "a", style: "" },
    { text: "red", style: "ansi-bold ansi-1" },
    { text: "b", style: "" },
  ]);
});

test("events are read, and ids without events too", () => {
  expect(parseBlock("id: 7\nevent: state\ndata: {}\ndata: x")).toEqual({ kind: "state", id: "7", data: "{}\nx" });
  expect(parseBlock(": still here\nid: 8")).toEqual({ kind: "message", id: "8", data: "" });
});

test("a refusal is told beside the fields that it is about", () => {
  const names = ["name", "threshold", "for", ""];
  const refused = (detail: string, reason = "request_invalid"): Error => new ApiError(400, reason, detail);
  expect(faultsOf(refused("threshold: 0 to 100; for: too long"), names)).toEqual({
    threshold: "0 to 100",
    for: "too long",
  });
  expect(faultsOf(refused("url: needed; name: too long"), names)).toEqual({ "": "url: needed", name: "too long" });
  expect(faultsOf(refused("a rule named a exists already", "already_exists"), names)).toEqual({
    name: "a rule named a exists already",
  });
  expect(faultsOf(refused("labels[...]: Expected `str`, got `int`"), ["labels"])).toEqual({
    labels: "Expected `str`, got `int`",
  });
  const last = { last_admin: "labels" };
  expect(faultsOf(refused("no admin is left", "last_admin"), ["labels"], last)).toEqual({ labels: "no admin is left" });
  expect(faultsOf(new Error("The server does not answer."), names)).toEqual({ "": "The server does not answer." });
});

test("a rule is said in words", () => {
  const rule = { metric: "cpu", op: "above", threshold: 90, for: 300 };
  expect(conditionOf(rule)).toBe("CPU, all cores above 90 % for 5 min");
  expect(conditionOf({ ...rule, metric: "net_sent", op: "below", threshold: 1e6, for: 0 })).toBe(
    "Network, sent below 1.0 MB/s",
  );
  expect(conditionOf({ metric: "connection", threshold: null, for: 120 })).toBe("Offline for 2 min");
  expect(measured(0.256, "load")).toBe("0.26");
});

test("labels are read from text, and written as text", () => {
  expect(labelsIn("site=north, role=a=b")).toEqual({ site: "north", role: "a=b" });
  expect(labelsSaid(labelsIn(" a=  b=c"))).toBe("a= b=c");
  expect(() => labelsIn("north")).toThrow("labels: north is no label");
});

test("labels are read, written and compared", () => {
  expect(labelProblem("site=north")).toBe("");
  expect([labelProblem("site"), labelProblem("=north"), labelProblem(`${"x".repeat(64)}=`)].every(Boolean)).toBe(true);
  expect(labelsFrom(["site=north", "formula=a=b", "empty="])).toEqual({ site: "north", formula: "a=b", empty: "" });
  expect(labelTexts({ site: "north" })).toEqual(["site=north"]);
  expect(labelChange({ a: "1", b: "2", c: "3" }, { a: "1", b: "4", d: "5" })).toEqual({ b: "4", c: null, d: "5" });
});

test("a login is told by its browser and system", () => {
  const chrome =
    "Mozilla/5.0 (X11; Linux x86_64) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/140.0.0.0 Safari/537.36";
  expect([chrome, `${chrome} Edg/140.0`, "quix/0.1.0", ""].map(agentName)).toEqual([
    "Chrome on Linux",
    "Edge on Linux",
    "quix/0.1.0",
    "not told",
  ]);
});

test("a request keeps its key for as long as whether it was done is not known", () => {
  const attempt = new Attempt();
  const failing = (text: string, ...statuses: number[]): boolean => {
    const key = attempt.keyOf(text);
    for (const status of statuses) attempt.failed(new ApiError(status, "reason", "detail"));
    return attempt.keyOf(text) === key;
  };
  expect([[0], [500], [502], [504, 409], [504, 429]].map((statuses) => failing("a", ...statuses))).not.toContain(false);
  expect([[422], [409], [429], [403], [504, 422]].map((statuses) => failing("b", ...statuses))).not.toContain(true);
  expect(attempt.keyOf("c")).not.toBe(attempt.keyOf("d"));
  const key = attempt.keyOf("d");
  attempt.done();
  expect(attempt.keyOf("d")).not.toBe(key);
});
