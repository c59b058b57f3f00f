import { ALL_SETTINGS } from '../../config/schema.ts';
import { shownValue } from '../../config/compare.ts';
import type { AdminAnswer, AdminRoutes, Caller } from '../../http/admin/handler.ts';
import type { Reloader } from '../reload/reloader.ts';
import type { AuditLog } from './audit-log.ts';
import { LEVELS, type LogLevel } from './log-level.ts';

export interface AdminParts {
  readonly reloader: Reloader;
  readonly logLevel: LogLevel;
  readonly audit: AuditLog;
  /** Of the process, as `GET /status` tells it. */
  readonly status: () => object;
}

/** What the admin server does, by path. */
export function adminRoutes({ reloader, logLevel, audit, status }: AdminParts): AdminRoutes {
  const done = (body: object): AdminAnswer => ({ status: 200, body });

  async function setLogLevel(caller: Caller, body: unknown): Promise<AdminAnswer> {
    const wanted = levelOf(body);
    if (wanted === undefined) return { status: 400, body: { error: `{"level": ${LEVELS.join('|')}, "minutes": 1 to 1440, or left out}` } };
    const { level, minutes } = wanted;
    const detail = { before: logLevel.report().level, after: level, minutes };
    try {
      await audit.record({ by: 'admin', ...caller, action: 'log-level', outcome: 'applied', detail });
    } catch (error) {
      return { status: 503, body: { error: `nothing was changed: the audit log cannot be written: ${String(error)}` } };
    }
    logLevel.override(level, minutes === undefined ? undefined : minutes * 60_000);
    return done(logLevel.report());
  }

  return {
    '/status': { GET: () => done({ ...status(), generation: reloader.generation(), waiting: reloader.waiting(), log: logLevel.report() }) },
    '/config': { GET: () => done(configOf(reloader)) },
    '/reload': {
      async POST({ who, address }) {
        const report = await reloader.reload({ by: 'admin', who, address });
        return { status: report.outcome === 'refused' ? 422 : 200, body: report };
      },
    },
    '/log-level': { GET: () => done(logLevel.report()), PUT: setLogLevel },
  };
}

/** The settings in force, masked, each with where it came from. */
function configOf(reloader: Reloader): object {
  const { config, origins, notices } = reloader.current();
  return {
    generation: reloader.generation(),
    file: config.server.configFile,
    settings: ALL_SETTINGS.map(({ section, key, setting }) => ({
      name: setting.name,
      key: `${section}.${key}`,
      value: shownValue(setting, config, section, key),
      origin: origins.get(setting.name),
      reloadable: setting.reloadable === true,
    })),
    waiting: reloader.waiting(),
    notices,
  };
}

const MAX_MINUTES = 24 * 60;

function levelOf(body: unknown): { readonly level: (typeof LEVELS)[number]; readonly minutes: number | undefined } | undefined {
  if (typeof body !== 'object' || body === null) return undefined;
  const { level: name, minutes } = body as { readonly level?: unknown; readonly minutes?: unknown };
  const level = LEVELS.find((one) => one === name);
  if (level === undefined) return undefined;
  if (minutes === undefined) return { level, minutes };
  return typeof minutes === 'number' && minutes > 0 && minutes <= MAX_MINUTES ? { level, minutes } : undefined;
}
