// Command chaos-operator is a kooperd with the plugin "chaos", which terminates Pods, besides the
// built-in ones.
//
//	go build -o kooperd . && ./kooperd --config controllers.cue
package main

import (
	"os"

	"kooperd.dev/kooperd/examples/chaos-operator/chaos"
	"kooperd.dev/kooperd/pkg/daemon"
	"kooperd.dev/kooperd/pkg/handlers/builtin"
	"kooperd.dev/kooperd/pkg/signals"
)

func main() {
	os.Exit(daemon.Main(signals.Context(), append(builtin.Plugins(), chaos.Plugin)...))
}
