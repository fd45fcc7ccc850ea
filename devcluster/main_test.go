package main

import (
	"os"
	"testing"
)

// actAsProgram is the environment variable that makes the test binary behave as devcluster, so that
// tests can run, signal and kill the real program without building it a second time.
const actAsProgram = "DEVCLUSTER_TEST_ACT_AS_PROGRAM"

func TestMain(m *testing.M) {
	if os.Getenv(actAsProgram) != "" {
		os.Exit(run(os.Args[1:], os.Stdin, os.Stdout, os.Stderr))
	}
	os.Exit(m.Run())
}
