// Package history remembers the last calls of handlers for each object: why each was made, what had
// changed, what was written, and how it ended. It is for people who ask why an object was handled.
// It is bounded by bytes, in which the objects that were handled longest ago leave first, and it is
// lost with the process. It is no audit log, and nothing is decided by it.
//
// Nobody may ever ask, so a call only notes what it has. That is read and packed for many calls at
// once, when there are enough of them or when somebody asks: so the code and its data are in the
// caches of the processor, and it takes a third of the time.
//
//	log := history.New(4 << 20).Definition() // of the definition websites
//	log.Changed(key, event.Change())
//	cause := log.Take(key) // at the beginning of the call
//	log.Add(key, cause, &statusz.Handling{Cause: "change", Result: "done"})
package history
