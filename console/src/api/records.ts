/** Lists that newer servers keep: who did what. */
import { get } from "./http";
import type { Page } from "./types";

export type Row = Record<string, unknown>;

/** `detail` depends on the action; `outcome` is success, or why not. */
export interface AuditRow {
  id: number;
  at: number;
  user: string;
  address: string;
  action: string;
  backend_id: string;
  target: string;
  outcome: string;
  detail: Record<string, string | number>;
}

/** What was done, the newest first. */
export const listAudit = (after?: string): Promise<Page<AuditRow>> => get("/audit", { query: { after, limit: 200 } });
