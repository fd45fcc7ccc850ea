// Command team-namespaces is a kooperd with a composer of its own, "team", besides the built-in
// plugins.
//
//	go build -o kooperd . && ./kooperd --config controllers.cue
package main

import (
	"os"

	"kooperd.dev/kooperd/examples/team-namespaces/team"
	"kooperd.dev/kooperd/pkg/daemon"
	"kooperd.dev/kooperd/pkg/handlers/builtin"
	"kooperd.dev/kooperd/pkg/signals"
)

func main() {
	os.Exit(daemon.Main(signals.Context(), append(builtin.Plugins(), team.Plugin)...))
}
