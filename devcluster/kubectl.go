package main

import (
	"os"

	"k8s.io/component-base/cli"
	"k8s.io/component-base/logs"
	"k8s.io/kubectl/pkg/cmd"
	"k8s.io/kubectl/pkg/cmd/util"

	_ "k8s.io/client-go/plugin/pkg/client/auth" // the kubeconfig may ask for any of them
)

// runKubectl runs kubectl with args and returns its exit status. A failing kubectl prints its own
// error and ends the process by itself.
func runKubectl(args []string) int {
	// kubectl looks at the process's arguments in more than one place, plugins among them.
	os.Args = append([]string{"kubectl"}, args...)
	// Verbosity must be known before the command is built, because building it already logs; the
	// only error is a value that the flag parser is about to refuse with a better message.
	_, _ = logs.GlogSetter(cmd.GetLogVerbosity(os.Args))
	if err := cli.RunNoErrOutput(cmd.NewDefaultKubectlCommand()); err != nil {
		util.CheckErr(err)
		return exitFailure
	}
	return exitOK
}
