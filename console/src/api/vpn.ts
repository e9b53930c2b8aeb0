import { call, get, part, post } from "./http";
import type { Lease, Page } from "./types";

export type { Lease };

const of = (backend: string): string => `/backends/${part(backend)}/vpn`;

export const listLeases = (after?: string): Promise<Page<Lease>> => get("/vpn", { query: { after, limit: 1000 } });

/** `kind` is wireguard or openvpn. */
export const getLease = (backend: string, kind: string, signal?: AbortSignal): Promise<Lease> =>
  get(of(backend), { query: { conf_type: kind }, ...(signal ? { signal } : {}) });

export const configure = (backend: string, kind: string): Promise<{ conf_type: string; conf_data: string }> =>
  post(of(backend), kind === "openvpn" ? { conf_type: kind, tun_mode: "udp" } : { conf_type: kind });

export const restore = (backend: string, kind: string): Promise<Lease> =>
  post(`${of(backend)}/restore`, undefined, { query: { conf_type: kind } });

export const revoke = (backend: string, kind: string): Promise<void> =>
  call("DELETE", of(backend), undefined, { query: { conf_type: kind } });

/** Have the agent bring its tunnel up or down, or make new keys. */
export const change = (backend: string, kind: string, action: "up" | "down" | "rotate"): Promise<void> =>
  call("POST", `${of(backend)}/${action}`, undefined, { query: { conf_type: kind } });
