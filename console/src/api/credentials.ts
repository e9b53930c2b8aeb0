import { call, get, part, post } from "./http";
import type { Login, MadeToken, NewToken, Page, PersonalToken } from "./types";

export const listTokens = (): Promise<Page<PersonalToken>> => get("/tokens", { query: { limit: 1000 } });
export const addToken = (token: NewToken): Promise<MadeToken> => post("/tokens", token);
export const endToken = (id: string): Promise<void> => call("DELETE", `/tokens/${part(id)}`);
export const listSessions = (): Promise<Page<Login>> => get("/sessions", { query: { limit: 1000 } });
export const endSession = (id: string): Promise<void> => call("DELETE", `/sessions/${part(id)}`);
/** Change one's own password; `old` is the one of now. */
export const changePassword = (old: string, next: string): Promise<void> => post("/me/password", { old, new: next });
