// Package daemon is kooperd as a program: its command line and the wiring and lifecycle of its
// parts. A custom build is a main function that calls Main with its own plugins beside the built-in
// ones.
//
// It is not where controllers, caches or leases work, and it neither exits the process nor catches
// signals: main does.
//
//	os.Exit(daemon.Main(ctx, append(builtin.Plugins(), chaos.Plugin)...))
package daemon
