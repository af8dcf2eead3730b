// Throwing traps in place of the globals through which code could bypass its World. Set while a world runs; what
// steps into one fails the seed, even when the caller swallows the error.

const real = {
  Date,
  performanceNow: performance.now.bind(performance),
  random: Math.random,
  setTimeout: globalThis.setTimeout,
  setInterval: globalThis.setInterval,
  setImmediate: globalThis.setImmediate,
  queueMicrotask: globalThis.queueMicrotask,
  fetch: globalThis.fetch,
  WebSocket: globalThis.WebSocket,
  getRandomValues: crypto.getRandomValues.bind(crypto),
  randomUUID: crypto.randomUUID.bind(crypto),
};

/** The real monotonic clock, for measuring the simulation itself. */
export const stopwatch = real.performanceNow;

/** A real turn of the event loop, in which unhandled rejections are reported. */
export const realTurn = (): Promise<void> => new Promise((resolve) => void real.setImmediate(resolve));

function put(owner: object, name: string, value: unknown): void {
  Object.defineProperty(owner, name, { value, configurable: true, writable: true });
}

/** Sets the traps; `caught` hears of everything that steps into one. Returns the function that takes them away. */
export function setTraps(caught: (name: string) => void): () => void {
  const trap = (name: string) => () => {
    const { stack = "" } = new Error(name);
    caught(`${name}\n${stack}`);
    throw new Error(`${name} bypasses the world`);
  };
  class TrappedDate extends real.Date {
    constructor(...given: ConstructorParameters<DateConstructor> | []) {
      if (given.length === 0) trap("new Date()")();
      super(...(given as ConstructorParameters<DateConstructor>));
    }
    static override now(): number {
      return trap("Date.now")();
    }
  }
  put(globalThis, "Date", TrappedDate);
  put(performance, "now", trap("performance.now"));
  put(Math, "random", trap("Math.random"));
  for (const name of ["setTimeout", "setInterval", "setImmediate", "queueMicrotask", "fetch"] as const) {
    put(globalThis, name, trap(name));
  }
  put(globalThis, "WebSocket", trap("WebSocket"));
  put(crypto, "getRandomValues", trap("crypto.getRandomValues"));
  put(crypto, "randomUUID", trap("crypto.randomUUID"));
  return () => {
    put(globalThis, "Date", real.Date);
    put(performance, "now", real.performanceNow);
    put(Math, "random", real.random);
    for (const name of ["setTimeout", "setInterval", "setImmediate", "queueMicrotask", "fetch"] as const) {
      put(globalThis, name, real[name]);
    }
    put(globalThis, "WebSocket", real.WebSocket);
    put(crypto, "getRandomValues", real.getRandomValues);
    put(crypto, "randomUUID", real.randomUUID);
  };
}
