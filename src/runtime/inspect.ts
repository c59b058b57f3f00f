import { Cell, type CellStatus } from './cell.ts';
import type { Core } from './core.ts';
import { messageTypeOf } from './dead-letters.ts';
import type { Node } from './node.ts';

/**
 * Reading the outside of actors. POLICY: synchronous, from the tree nact keeps; no message is sent, so an actor that hangs can still be
 * seen, and looking changes nothing. No message content, no keys: types, counts and what the spec's own `inspect` gives.
 */
export interface ActorSnapshot {
  readonly path: string;
  readonly kind: string;
  readonly incarnation: number;
  readonly status: CellStatus;
  readonly mailboxDepth: number;
  readonly mailboxCapacity: number;
  /** Age of the oldest waiting message; 0 when none waits. Late by at most a turn. */
  readonly oldestAgeMs: number;
  /** Set while a handler's promise is waited for. */
  readonly currentMessageType: string | undefined;
  readonly currentForMs: number | undefined;
  readonly restartsInWindow: number;
  readonly lastErrorCode: string | undefined;
  readonly handledCount: number;
  readonly details: Readonly<Record<string, string | number | boolean>>;
}
/** A node of the tree and what is below it. */
export interface TreeSnapshot {
  readonly path: string;
  /** Undefined for a mute parent. */
  readonly actor: ActorSnapshot | undefined;
  readonly children: readonly TreeSnapshot[];
  /** Children in all; more than `children` when there were too many to list. */
  readonly childCount: number;
}
/** All actors of one kind, added up. */
export interface KindSnapshot {
  readonly kind: string;
  readonly actorCount: number;
  readonly byStatus: Readonly<Partial<Record<CellStatus, number>>>;
  /** Messages that wait, over all of them. */
  readonly mailboxDepth: number;
  readonly deepestMailbox: number;
  readonly oldestAgeMs: number;
  /** How many wait for a promise of their handler, and the longest of these waits. */
  readonly awaitingCount: number;
  readonly longestCurrentMs: number;
  readonly handledCount: number;
}
/** Questions about the tree of now; each answer is a new object. */
export interface ActorInspector {
  /** One row per kind, over ALL actors: it makes no snapshot of each, so it also suits a million of them. */
  kinds(): readonly KindSnapshot[];
  /** Actors in tree order, at most `limitCount`. */
  list(filter?: { readonly kind?: string; readonly limitCount?: number }): readonly ActorSnapshot[];
  /** The whole tree, with at most `childLimitCount` children listed per parent. @defaultValue 100 */
  tree(childLimitCount?: number): TreeSnapshot;
  one(path: string): ActorSnapshot | undefined;
  /** The actors that have been at one message for longest, longest first. */
  slowest(limitCount: number): readonly ActorSnapshot[];
}

const LIST_LIMIT_COUNT = 1_000;
const TREE_CHILD_LIMIT_COUNT = 100;

export function createInspector(core: Core): ActorInspector {
  function* cells(children: Map<string, Node>): Generator<Cell> {
    for (const node of children.values()) {
      if (node.state instanceof Cell) yield node.state;
      if (node.children.size > 0) yield* cells(node.children);
    }
  }

  function treeOf(path: string, node: Node | undefined, children: Map<string, Node>, limitCount: number): TreeSnapshot {
    const listed: TreeSnapshot[] = [];
    for (const [name, child] of children) {
      if (listed.length >= limitCount) break;
      listed.push(treeOf(`${path}/${name}`, child, child.children, limitCount));
    }
    return {
      path: path === '' ? '/' : path,
      actor: node?.state instanceof Cell ? snapshot(node.state) : undefined,
      children: listed,
      childCount: children.size,
    };
  }

  return {
    kinds() {
      const nowMs = core.clock.monotonic();
      const totals = new Map<string, Totals>();
      for (const cell of cells(core.tree.children)) {
        let total = totals.get(cell.kind);
        if (total === undefined) totals.set(cell.kind, (total = emptyTotals(cell.kind)));
        addTo(total, cell, nowMs);
      }
      return [...totals.values()];
    },
    list({ kind, limitCount = LIST_LIMIT_COUNT } = {}) {
      const found: ActorSnapshot[] = [];
      for (const cell of cells(core.tree.children)) {
        if (found.length >= limitCount) break;
        if (kind === undefined || cell.kind === kind) found.push(snapshot(cell));
      }
      return found;
    },
    tree: (childLimitCount = TREE_CHILD_LIMIT_COUNT) => treeOf('', undefined, core.tree.children, childLimitCount),
    one(path) {
      let children = core.tree.children;
      let node: Node | undefined;
      for (const name of path.split('/').filter((part) => part !== '')) {
        node = children.get(name);
        if (node === undefined) return undefined;
        children = node.children;
      }
      return node?.state instanceof Cell ? snapshot(node.state) : undefined;
    },
    slowest(limitCount) {
      const nowMs = core.clock.monotonic();
      const since = (cell: Cell): number => cell.rare?.pending?.sinceMs ?? nowMs;
      const pending = [...cells(core.tree.children)].filter((cell) => cell.rare?.pending !== undefined);
      return pending
        .sort((a, b) => since(a) - since(b))
        .slice(0, limitCount)
        .map(snapshot);
    },
  };
}

type Totals = { -readonly [Key in keyof KindSnapshot]: KindSnapshot[Key] } & { byStatus: Partial<Record<CellStatus, number>> };

const emptyTotals = (kind: string): Totals => ({
  kind,
  actorCount: 0,
  byStatus: {},
  mailboxDepth: 0,
  deepestMailbox: 0,
  oldestAgeMs: 0,
  awaitingCount: 0,
  longestCurrentMs: 0,
  handledCount: 0,
});

function addTo(total: Totals, cell: Cell, nowMs: number): void {
  const depth = cell.depth + (cell.rare?.urgent?.depth ?? 0);
  total.actorCount++;
  total.byStatus[cell.status] = (total.byStatus[cell.status] ?? 0) + 1;
  total.handledCount += cell.handledCount;
  if (depth > 0) {
    total.mailboxDepth += depth;
    total.deepestMailbox = Math.max(total.deepestMailbox, depth);
    total.oldestAgeMs = Math.max(total.oldestAgeMs, oldestAgeMs(cell, nowMs));
  }
  if (cell.rare?.pending !== undefined) {
    total.awaitingCount++;
    total.longestCurrentMs = Math.max(total.longestCurrentMs, nowMs - cell.rare.pending.sinceMs);
  }
}

function oldestAgeMs(cell: Cell, nowMs: number): number {
  const oldestAtMs = Math.min(cell.mailbox?.oldestAtMs() ?? Infinity, cell.rare?.urgent?.oldestAtMs() ?? Infinity);
  return oldestAtMs === Infinity ? 0 : Math.max(0, nowMs - oldestAtMs);
}

function snapshot(cell: Cell): ActorSnapshot {
  const { rare, core } = cell;
  const nowMs = core.clock.monotonic();
  const pending = rare?.pending;
  const { supervision } = cell.spec;
  const periodMs = supervision.directive === 'restart' ? supervision.budget.periodMs : 0;
  return {
    path: cell.path,
    kind: cell.kind,
    incarnation: cell.incarnation,
    status: cell.status,
    mailboxDepth: cell.depth + (rare?.urgent?.depth ?? 0),
    mailboxCapacity: cell.spec.mailbox.capacityCount,
    oldestAgeMs: oldestAgeMs(cell, nowMs),
    currentMessageType: pending?.message === undefined ? undefined : messageTypeOf(pending.message),
    currentForMs: pending === undefined ? undefined : Math.max(0, nowMs - pending.sinceMs),
    restartsInWindow: rare?.crashes.grantedAtMs.filter((atMs) => atMs > nowMs - periodMs).length ?? 0,
    lastErrorCode: rare?.lastErrorCode,
    handledCount: cell.handledCount,
    details: detailsOf(cell),
  };
}

function detailsOf(cell: Cell): Readonly<Record<string, string | number | boolean>> {
  if (!cell.hasState || cell.spec.inspect === undefined) return {};
  try {
    return cell.spec.inspect(cell.state);
  } catch {
    return { inspect: 'failed' }; // a spec's mistake must not hide the rest of the tree
  }
}
