package config_test

import (
	"context"
	"errors"
	"fmt"
	"os"
	"testing"
	"time"

	"go.uber.org/goleak"

	"kooperd.dev/kooperd/pkg/config"
)

// hostileFile names, for a child process of this test, a file whose evaluation will be given up.
// The evaluation goes on after that, so it needs a process that can be thrown away.
const hostileFile = "KOOPERD_TEST_HOSTILE_FILE"

func TestMain(m *testing.M) {
	if file := os.Getenv(hostileFile); file != "" {
		os.Exit(loadHostile(file))
	}
	goleak.VerifyTestMain(m)
}

// loadHostile loads the file and prints how long that took. Its exit status is 0 when Load returned
// Diagnostics.
func loadHostile(file string) int {
	ctx := context.Background()
	options := config.Options{Deadline: time.Minute, MemoryLimit: 64 << 20}
	switch os.Getenv(hostileFile + "_STOP") {
	case "deadline":
		options = config.Options{Deadline: 500 * time.Millisecond, MemoryLimit: 8 << 30}
	case "context":
		var cancel context.CancelFunc
		ctx, cancel = context.WithTimeout(ctx, 500*time.Millisecond)
		defer cancel()
		options.MemoryLimit = 8 << 30
	}
	options.Registry = mustRegistry()
	_, err := config.Load(ctx, []string{file}, options)
	fmt.Println(err)
	if _, ok := errors.AsType[config.Diagnostics](err); !ok {
		return 1
	}
	return 0
}
