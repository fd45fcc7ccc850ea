// Package offline answers the requests of the runtime of composers from memory, so that it can be
// run without changing a cluster, or without having one. A Server holds objects and does what an
// API server would do with them, as far as that is the same for all kinds: it merges what is
// applied, keeps managedFields, refuses what is stale. It knows nothing of defaults, of validation
// and of controllers. Put before a connection to an API server, it lets reads through and turns
// every write into a dry run, whose answers it keeps.
package offline
