// Package exec is the plugin "exec": it runs a program for every call, with the object as JSON on
// its standard input.
//
// It is no shell and no sandbox. The program is an argument list that is fixed when the daemon
// starts, nothing of an object ever becomes part of it, and the environment is an allow-list; but
// the program runs as the daemon's user, and whatever it does to the API server with its own
// credentials does not go through the gate. That is why a program never outlives its call: when the
// call's context ends, its whole process group is killed.
//
//	handler: exec: command: ["/usr/local/bin/sync-dns"]
package exec
