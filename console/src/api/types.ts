/** The shapes of REST, as docs/openapi.json has them. */
import type { components } from "../generated/api";

type Schemas = components["schemas"];

/** Shares, 0 to 1; null where a backend does not tell. */
export interface Load {
  at: number;
  cpu: number | null;
  memory: number | null;
  disk: number | null;
  recent?: { cpu: (number | null)[]; memory: (number | null)[] };
}

/** `load` is told by servers that keep telemetry. */
export type Backend = Omit<Schemas["Backend"], "load"> & { load?: Load | null };
export type Run = Schemas["Run"];
export type RunState = Schemas["RunState"];
export type Chunk = Schemas["Chunk"];
export type Command = Schemas["Command"];
export type Process = Schemas["Process"];
export type TeleData = Schemas["TeleData"];
export type Lease = Schemas["Lease"];
export type User = Schemas["User"];
export type Role = Schemas["Role"];
export type Me = Schemas["Me"];
export type Alert = Schemas["Alert"];
export type Rule = Schemas["Rule"];
export type NewRule = Schemas["NewRule"];
export type RuleChange = Schemas["RuleChange"];
export type Metric = Rule["metric"];
export type Severity = Rule["severity"];
export type Channel = Schemas["Channel"];
export type NewChannel = Schemas["NewChannel"];
export type ChannelChange = Schemas["ChannelChange"];
export type Enrolment = Schemas["Enrolment"];
export type NewEnrolment = Schemas["NewEnrolment"];
export type MadeEnrolment = Schemas["MadeEnrolment"];
export type Silence = Schemas["Silence"];
export type NewSilence = Schemas["NewSilence"];
export type PersonalToken = Schemas["PersonalToken"];
export type MadeToken = Schemas["MadeToken"];
export type NewToken = Pick<Schemas["NewToken"], "name" | "role"> & Partial<Schemas["NewToken"]>;
export type Login = Schemas["Session"];

export type Labels = Record<string, string>;

export interface Page<T> {
  items: T[];
  next: string | null;
}
