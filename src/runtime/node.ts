import { dispatch, spawn, start, stop, type Ref } from 'nact';

/**
 * The only door to nact. nact gives Troupe three things: the TREE (who is whose child), NAMES (unique under a parent) and the TURN
 * (a macrotask in which one actor works). Everything else nact offers is unused, because it loses messages, runs two handlers at
 * once or ends the process (docs/adr/0002-cell-over-nact.md lists the hazards A-Q).
 *
 * I1 nact never sees an exception: `Work` must not throw, and it returns nothing to wait for.
 * I2 an actor's nact mailbox holds at most one WAKE, because the owner wakes only when it is not already woken.
 * I3 a parent never receives a message (nact copies the whole map of children per message handled: hazard N).
 */

/** What a nact actor of ours carries as its nact state. */
export interface Occupant {
  /** One turn. Must not throw: what it throws would reach nact. */
  turn(): void;
}

/** The part of nact 7.6.2's actor object that we read (`lib/actor.js`); reached through nact's own extension hook. */
export interface Node {
  readonly name: string;
  readonly path: { parts: readonly string[] };
  readonly reference: Ref<unknown>;
  readonly state: unknown;
  stopped: boolean;
  children: Map<string, Node>;
  childReferences: Map<string, unknown>;
  mailbox: unknown;
  childStopped(child: Node): void;
}
interface SystemNode {
  readonly children: Map<string, Node>;
}

export interface Tree {
  readonly children: Map<string, Node>;
  /** A mute parent below the root: a place for children, never woken. */
  spawnParent(name: string, occupant: object): Node;
  /** An actor that can be woken. Throws when the name is taken or not nact-safe. */
  spawnActor(parent: Node | undefined, name: string, occupant: Occupant): Node;
  /** A leaf that is never woken itself (its group shares a turn), without the maps and the queue nact made for it. */
  spawnLeaf(parent: Node, name: string, occupant: object): Node;
  /** Gives the node one turn in a later macrotask. */
  wake(node: Node): void;
  /** Frees the name of an actor that has no turn outstanding. */
  remove(node: Node): void;
  /** Frees the name of a leaf. */
  removeLeaf(parent: Node, node: Node): void;
  /** Takes the whole tree down. Turns that nact has already scheduled may still come: their occupants must know that it is over. */
  close(): void;
}

const WAKE = Symbol('wake');
const nothing = (): void => undefined;
const takeTurn = (occupant: Occupant): Occupant => {
  occupant.turn();
  return occupant;
};
const stayMute = (occupant: object): object => occupant;

/** Map that leaves share instead of the two empty ones nact makes for each (370 of its 1,100 bytes). Writing to it is a bug. */
class NoChildren extends Map<string, never> {
  override set(): this {
    throw new Error('A leaf has no children.');
  }
}

let systemCount = 0;

/** Starts a nact system. The name is made unique in the process, because nact resolves refs by system name. */
export function createTree(name: string): Tree {
  let system: SystemNode | undefined;
  const plugin = (concrete: unknown): void => {
    system = concrete as SystemNode;
  };
  const unique = `${name}-${String(++systemCount)}`;
  // nact's types know neither the options object nor that a plugin gets the concrete system
  const root = (start as unknown as (options: { name: string }, plugin: (concrete: unknown) => void) => Ref<never>)(
    { name: unique },
    plugin,
  );
  if (system === undefined) throw new Error('nact did not run its plugin: it is not version 7.6.2.');
  const top = system;
  const noChildren = new NoChildren();

  function create(parent: Node | undefined, name: string, work: (occupant: never) => unknown, occupant: object): Node {
    const reference = parent === undefined ? root : parent.reference;
    (spawn as (parent: unknown, work: unknown, name: string, options: object) => unknown)(reference, work, name, {
      initialState: occupant,
      afterStop: nothing,
      onCrash: nothing,
    });
    const node = (parent ?? top).children.get(name);
    if (node === undefined) throw new Error('nact did not register its child: it is not version 7.6.2.');
    return node;
  }

  return {
    children: top.children,
    spawnParent: (name, occupant) => create(undefined, name, stayMute, occupant),
    spawnActor: (parent, name, occupant) => create(parent, name, takeTurn, occupant),
    spawnLeaf(parent, name, occupant) {
      const node = create(parent, name, stayMute, occupant);
      node.children = noChildren;
      node.childReferences = noChildren;
      node.mailbox = parent.mailbox;
      node.path.parts = node.path.parts.slice(); // nact's spread leaves room for sixteen more
      return node;
    },
    wake: (node) => dispatch(node.reference, WAKE),
    remove: (node) => stop(node.reference),
    removeLeaf(parent, node) {
      // what nact's own stop does to the parent, without its copies, its `delete` and a setImmediate for each leaf
      parent.childStopped(node);
      node.stopped = true;
    },
    close() {
      // nact's own stop of a system or a parent does not reach the children: it looks them up as if they were refs (hazard Q)
      for (const node of [...top.children.values()]) stop(node.reference);
      stop(root);
    },
  };
}
