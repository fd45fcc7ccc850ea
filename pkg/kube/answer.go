package kube

import (
	"context"
	"fmt"
	"time"
)

// answerTimeout is after how long without an answer a request becomes the status of its source. The
// request goes on.
const answerTimeout = 10 * time.Second

// awaitAnswer makes a request of a source and returns at the end of ctx at the latest. A credential
// plugin obeys no context, so the request has its own goroutine, which ends with the plugin.
func awaitAnswer[T any](ctx context.Context, s *source, request func(context.Context) (T, error)) (T, error) {
	type answer struct {
		value T
		err   error
	}
	answers := make(chan answer, 1)
	go func() {
		value, err := request(ctx)
		if stopper, ok := any(value).(interface{ Stop() }); ok && err == nil && ctx.Err() != nil {
			stopper.Stop() // There may be no caller left to stop this watch.
		}
		answers <- answer{value, err}
	}()
	late := time.NewTimer(answerTimeout)
	defer late.Stop()
	for {
		select {
		case a := <-answers:
			return a.value, a.err
		case <-ctx.Done():
			var none T
			return none, context.Cause(ctx)
		case <-late.C:
			s.degrade(&noAnswerError{plugin: s.credentialPlugin})
		}
	}
}

// noAnswerError means that a request has no answer yet.
type noAnswerError struct{ plugin string }

func (e *noAnswerError) Error() string {
	text := fmt.Sprintf("no answer from the API server for %s", answerTimeout)
	if e.plugin != "" {
		text += fmt.Sprintf("; the credential plugin %q of the kubeconfig may hang", e.plugin)
	}
	return text
}
