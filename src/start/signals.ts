import { state } from '../observe/facts.ts';

/** What of a process is listened to; `process` itself, or a test's stand-in. */
export interface ProcessEvents {
  on(event: 'SIGINT' | 'SIGTERM' | 'SIGHUP', listener: () => void): unknown;
  on(event: 'uncaughtException', listener: (error: Error) => void): unknown;
  on(event: 'unhandledRejection', listener: (reason: unknown) => void): unknown;
  exit(code: number): void;
}

/**
 * SH-1: resolves at the first signal to stop. A second one ends the process at once: what is not committed comes again. A terminal that
 * hangs up is such a signal, as in PostHog, unless `onHangUp` has another use for it.
 */
export function stopSignal(process: ProcessEvents, onHangUp?: () => void): Promise<void> {
  return new Promise((resolve) => {
    let signals = 0;
    const onSignal = (): void => {
      signals++;
      if (signals > 1) process.exit(1);
      state('log-written', { level: 'info', message: 'Told to stop; finishing what is in work.' });
      resolve();
    };
    process.on('SIGINT', onSignal);
    process.on('SIGTERM', onSignal);
    process.on('SIGHUP', onHangUp ?? onSignal);
  });
}

/**
 * SH-3: an exception that nobody caught is told to `onBroken`, and the process ends in order with a failure; a rejection that nobody
 * handled is a bug to be read about, and the process goes on. (A plugin's are its child process's, and end there.)
 */
export function watchFailures(process: ProcessEvents, onBroken: (error: Error) => void): void {
  process.on('uncaughtException', (error) => {
    state('log-written', {
      level: 'error',
      message: 'An exception was caught by nobody; the process stops.',
      fields: { error: error.stack },
    });
    onBroken(error);
  });
  process.on('unhandledRejection', (reason) => {
    const error = reason instanceof Error ? reason.stack : String(reason);
    state('log-written', { level: 'error', message: 'A rejection was handled by nobody.', fields: { error } });
  });
}
