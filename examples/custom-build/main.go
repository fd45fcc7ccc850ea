// Command custom-build is a kooperd with a plugin of its own, "annotate", besides the built-in
// ones.
//
//	go build -o kooperd . && ./kooperd --config controllers.cue
package main

import (
	"os"

	"kooperd.dev/kooperd/examples/custom-build/annotate"
	"kooperd.dev/kooperd/pkg/daemon"
	"kooperd.dev/kooperd/pkg/handlers/builtin"
	"kooperd.dev/kooperd/pkg/signals"
)

func main() {
	os.Exit(daemon.Main(signals.Context(), append(builtin.Plugins(), annotate.Plugin)...))
}
