// Package history remembers the last calls of handlers for each object: why each was made, what had
// changed, what was written, and how it ended. It is for people who ask why an object was handled.
// It is bounded by bytes, in which the objects that were handled longest ago leave first, and it is
// lost with the process. It is no audit log, and nothing is decided by it.
//
//	log := history.New(4 << 20).Definition() // of the definition websites
//	log.Changed(key, []string{"spec.replicas"})
//	cause := log.Take(key) // at the beginning of the call
//	log.Add(key, statusz.Handling{Cause: "change", Changed: cause.Changed, Result: "done"})
package history
