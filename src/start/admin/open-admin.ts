import { messageOf } from '../../domain/strings.ts';
import { parseAdminTokens } from '../../config/admin-tokens.ts';
import type { Config } from '../../config/schema.ts';
import { createDoor } from '../../http/admin/door.ts';
import { createAdminHandler } from '../../http/admin/handler.ts';
import { listen } from '../../http/listen.ts';
import type { Clock } from '../../runtime/clock.ts';
import type { Closers } from '../closers.ts';
import { adminRoutes, type AdminParts } from './actions.ts';
import { NO_AUDIT_LOG, openAuditLog, type AuditLog } from './audit-log.ts';

export interface OpenAdminParts extends AdminParts {
  readonly config: Config;
  readonly clock: Clock;
  readonly closers: Closers;
}

/** The admin server; resolves with its address, undefined when there is none. */
export async function openAdmin(parts: OpenAdminParts): Promise<string | undefined> {
  const { config, clock, closers, reloader } = parts;
  const { host, port } = config.admin;
  if (port === undefined) return undefined;
  const tokens = (): NonNullable<ReturnType<typeof parseAdminTokens>> => {
    const parsed = parseAdminTokens(reloader.current().config.admin.tokens);
    if (parsed === undefined) throw new Error('TROUPE_ADMIN_TOKEN passed the rules and cannot be read');
    return parsed;
  };
  const server = await listen({
    handle: createAdminHandler({ door: createDoor({ tokens, clock }), routes: adminRoutes(parts) }),
    host,
    port,
    clock,
    name: 'the admin server',
    hostSetting: 'TROUPE_ADMIN_HOST',
    portSetting: 'TROUPE_ADMIN_PORT',
  });
  closers.push('the admin server', () => server.close(1_000));
  return server.url;
}

/** The audit log that the settings name. @throws Error that names the setting when it cannot be written. */
export async function openAudit({ config, clock, closers }: Pick<OpenAdminParts, 'config' | 'clock' | 'closers'>): Promise<AuditLog> {
  const path = config.admin.auditLog;
  if (path === undefined) return NO_AUDIT_LOG;
  try {
    const audit = await openAuditLog(path, { clock });
    closers.push('the audit log', () => audit.close());
    return audit;
  } catch (error) {
    throw new Error(`TROUPE_AUDIT_LOG cannot be written: ${messageOf(error)}`, { cause: error });
  }
}
