package handlers_test

import (
	"errors"
	"fmt"
	"io/fs"
	"testing"
	"time"

	"kooperd.dev/kooperd/pkg/handlers"
)

func TestTerminal(t *testing.T) {
	cause := fmt.Errorf("reading: %w", fs.ErrNotExist)
	marked := handlers.Terminal(cause)
	if marked.Error() != cause.Error() {
		t.Errorf("Error = %q, want %q", marked, cause)
	}
	tests := map[string]struct {
		err  error
		want bool
	}{
		"nil":          {nil, false},
		"plain":        {cause, false},
		"marked":       {marked, true},
		"marked twice": {handlers.Terminal(marked), true},
		"wrapped":      {fmt.Errorf("handling: %w", marked), true},
		"joined":       {errors.Join(cause, marked), true},
		"marked nil":   {handlers.Terminal(nil), false},
	}
	for name, tc := range tests {
		if got := handlers.IsTerminal(tc.err); got != tc.want {
			t.Errorf("%s: IsTerminal = %v, want %v", name, got, tc.want)
		}
	}
	if handlers.Terminal(nil) != nil {
		t.Error("Terminal(nil) is not nil")
	}
	if !errors.Is(marked, fs.ErrNotExist) {
		t.Error("errors.Is does not see through the mark")
	}
}

func TestRetryAfter(t *testing.T) {
	cause := fmt.Errorf("asking: %w", fs.ErrNotExist)
	marked := handlers.RetryAfter(cause, time.Minute)
	if marked.Error() != cause.Error() || !errors.Is(marked, fs.ErrNotExist) {
		t.Errorf("marked, the error is %v", marked)
	}
	tests := map[string]struct {
		err  error
		want time.Duration // 0: it is not marked
	}{
		"nil":            {err: nil},
		"plain":          {err: cause},
		"marked":         {err: marked, want: time.Minute},
		"wrapped":        {err: fmt.Errorf("handling: %w", marked), want: time.Minute},
		"joined":         {err: errors.Join(cause, marked), want: time.Minute},
		"the last mark":  {err: handlers.RetryAfter(marked, time.Hour), want: time.Hour},
		"at once":        {err: handlers.RetryAfter(cause, 0)},
		"in the past":    {err: handlers.RetryAfter(cause, -time.Second)},
		"marked nil":     {err: handlers.RetryAfter(nil, time.Minute)},
		"terminal":       {err: handlers.Terminal(marked)},
		"terminal below": {err: handlers.RetryAfter(handlers.Terminal(cause), time.Minute)},
	}
	for name, tc := range tests {
		if got, ok := handlers.RetryDelay(tc.err); got != tc.want || ok != (tc.want > 0) {
			t.Errorf("%s: RetryDelay = %s, %t, want %s", name, got, ok, tc.want)
		}
	}
	if handlers.RetryAfter(nil, time.Minute) != nil {
		t.Error("RetryAfter(nil) is not nil")
	}
}

func TestUnavailable(t *testing.T) {
	cause := fmt.Errorf("calling: %w", fs.ErrNotExist)
	marked := handlers.Unavailable(cause)
	if marked.Error() != cause.Error() || !errors.Is(marked, fs.ErrNotExist) {
		t.Errorf("marked, the error is %v", marked)
	}
	tests := map[string]struct {
		err  error
		want bool
	}{
		"nil": {nil, false}, "plain": {cause, false}, "marked": {marked, true}, "marked nil": {handlers.Unavailable(nil), false},
		"wrapped": {fmt.Errorf("handling: %w", marked), true}, "joined": {errors.Join(cause, marked), true},
		"with a time": {handlers.RetryAfter(marked, time.Minute), true},
	}
	for name, tc := range tests {
		if got := handlers.IsUnavailable(tc.err); got != tc.want {
			t.Errorf("%s: IsUnavailable = %v, want %v", name, got, tc.want)
		}
	}
	both := handlers.Unavailable(handlers.RetryAfter(cause, time.Minute))
	if after, ok := handlers.RetryDelay(both); !ok || after != time.Minute {
		t.Errorf("the time of one that is unavailable is %s", after)
	}
	if handlers.Unavailable(nil) != nil {
		t.Error("Unavailable(nil) is not nil")
	}
}
