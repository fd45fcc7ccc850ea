//go:build unix

package exec_test

import (
	"os"
	"testing"

	"go.uber.org/goleak"
)

// TestMain makes the test binary its own set of programs to run: with programVariable set it is one
// of them.
func TestMain(m *testing.M) {
	if name := os.Getenv(programVariable); name != "" {
		os.Exit(programs[name]())
	}
	goleak.VerifyTestMain(m)
}
