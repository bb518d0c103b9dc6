// Package singleflight runs a function once for all who ask for its result at the same
// time. It differs from golang.org/x/sync/singleflight in whose fault a failure is:
//
//   - The function runs on a context of its own, with the values of the first caller's context and
//     nobody's cancellation. It is cancelled when the last one who waits has left.
//   - Everyone waits on a context of their own and leaves at its end, at once; nobody else notices.
//   - A panic, or a runtime.Goexit, reaches everyone who waits, and the key is free again.
//   - A running call can be detached: those who wait for it still get its result, those who come later start
//     a new call, and the function can tell, without a race, that its result may not be stored.
//
// [Group] is all that most programs need. A program that keeps calls in a table of its own, under the lock
// that guards what it caches, builds them from [Run], [Call] and [Go], as package cache does.
//
// # Caveats
//
// At most one call of a key that is not detached runs at a time, even when its callers have left:
// who comes while an abandoned function is still on its way out waits for it to return,
// takes its result if it succeeded all the same, and otherwise starts anew. A function
// that does not heed its context therefore delays its next caller, who can always leave.
//
// A function that asks its own Group for its own key waits for itself until its caller leaves.
package singleflight
