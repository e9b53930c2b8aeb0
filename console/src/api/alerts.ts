/** Alerts, the rules that raise them, where they are told, and silences. */
import { call, get, part, post } from "./http";
import type {
  Alert,
  Channel,
  ChannelChange,
  NewChannel,
  NewRule,
  NewSilence,
  Page,
  Rule,
  RuleChange,
  Silence,
} from "./types";

interface Which {
  state?: Alert["state"];
  backend?: string;
  after?: string;
  limit?: number;
}

export const listAlerts = (which: Which, signal?: AbortSignal): Promise<Page<Alert>> =>
  get("/alerts", { query: { limit: 100, ...which }, ...(signal ? { signal } : {}) });

export const listRules = (): Promise<Page<Rule>> => get("/alerts/rules", { query: { limit: 1000 } });
export const addRule = (rule: NewRule): Promise<Rule> => post("/alerts/rules", rule);
export const changeRule = (id: string, change: RuleChange): Promise<Rule> =>
  call("PATCH", `/alerts/rules/${part(id)}`, change);
export const removeRule = (id: string): Promise<void> => call("DELETE", `/alerts/rules/${part(id)}`);

export const listChannels = (): Promise<Page<Channel>> => get("/alerts/channels", { query: { limit: 1000 } });
export const addChannel = (channel: NewChannel): Promise<Channel> => post("/alerts/channels", channel);
/** A secret that is null is taken away. */
export const changeChannel = (id: string, fields: ChannelChange): Promise<Channel> =>
  call("PATCH", `/alerts/channels/${part(id)}`, fields);
export const removeChannel = (id: string): Promise<void> => call("DELETE", `/alerts/channels/${part(id)}`);
/** Send a test message now; fails with what the receiver said. */
export const testChannel = (id: string): Promise<void> => call("POST", `/alerts/channels/${part(id)}/test`);

export const listSilences = (): Promise<Page<Silence>> => get("/alerts/silences", { query: { limit: 1000 } });
export const addSilence = (silence: NewSilence): Promise<Silence> => post("/alerts/silences", silence);
export const removeSilence = (id: string): Promise<void> => call("DELETE", `/alerts/silences/${part(id)}`);
