import { call, get, post } from "./http";
import type { Me } from "./types";

export const me = (): Promise<Me> => get("/me");
export const login = (username: string, password: string): Promise<Me> =>
  post("/login/browser", { username, password });
export const logout = (): Promise<void> => call("POST", "/logout");

/** What a machine needs to know to enrol. */
export interface Server {
  version: string;
  listen: string;
  tls: boolean;
  tls_fingerprint: string | null;
  vpn: string[];
}

export const server = (): Promise<Server> => get("/server");
