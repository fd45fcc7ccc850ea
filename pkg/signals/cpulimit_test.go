package signals_test

import (
	"context"
	"errors"
	"fmt"
	"syscall"
	"testing"

	"kooperd.dev/kooperd/pkg/signals"
)

// cpuLimitProgram ends when it hears of its limit.
func cpuLimitProgram() {
	ctx, stop := signals.UntilCPULimit(signals.Context(), errors.New("the limit"))
	defer stop()
	fmt.Println("ready")
	<-ctx.Done()
	fmt.Println(context.Cause(ctx))
}

func TestUntilCPULimit(t *testing.T) {
	p := start(t, "cpu limit")
	p.await(t, "ready")
	p.signal(t, syscall.SIGXCPU)
	p.await(t, "the limit")
	if got := p.endedBy(t); got != -1 {
		t.Errorf("it was ended by %v", got)
	}
	ctx, stop := signals.UntilCPULimit(t.Context(), errors.New("the limit"))
	stop()
	if err := context.Cause(ctx); !errors.Is(err, context.Canceled) {
		t.Errorf("the context was ended with %v", err)
	}
}
