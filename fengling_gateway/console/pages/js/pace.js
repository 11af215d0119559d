// How often something is done.

// Returns a function that does a task at once, and then no more often than each so many seconds:
// what is asked for meanwhile is done once, at the end of them.
export function atMostEvery(seconds, task, signal) {
  let [isResting, isWanted] = [false, false];
  return function again() {
    if (signal?.aborted) return;
    isWanted = isResting;
    if (isResting) return;
    isResting = true;
    task();
    setTimeout(() => {
      isResting = false;
      if (isWanted) again();
    }, seconds * 1000);
  };
}
