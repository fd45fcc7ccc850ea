// Package signals turns the signals that ask a process to stop into the end of a context, and the
// one that asks it to reload into a note. It is for main packages, and the only package besides
// them that takes signals:
//
//	os.Exit(daemon.Main(signals.Context(), builtin.Plugins()...))
//
// What each signal does to a program that has called Context:
//
//	SIGINT, SIGTERM, SIGHUP  the first one ends the context; after that they have their default effect,
//	                         so a second one ends the process at once. See Next for the exception.
//	SIGHUP after Reload      asks for a reload, and never ends the process. See Reload for what a
//	                         terminal sends when it goes.
//	SIGHUP under nohup       ignored, as it was when the process started, unless Reload was called.
//	SIGXCPU                  ends the context of UntilCPULimit.
//	SIGPIPE                  no effect: writing to a closed pipe is an error, also on standard output and error.
//	SIGQUIT, SIGABRT         end the process at once with a dump of all goroutines, as in every Go program.
//	all others               as in every Go program: SIGUSR1 and SIGUSR2, for example, have no effect.
package signals
