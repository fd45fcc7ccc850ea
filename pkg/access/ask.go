package access

import (
	"context"
	"errors"
	"fmt"
	"time"

	"golang.org/x/sync/singleflight"
	"k8s.io/apimachinery/pkg/util/cache"

	"kooperd.dev/kooperd/pkg/kinds"
)

const (
	// answerAge is how long an answer is good for: definitions that start together need the same
	// rights.
	answerAge = 10 * time.Second
	// maxAnswers bounds the answers that are kept.
	maxAnswers = 4096
)

// answers asks the API server each question once at a time and keeps the answer for answerAge. K
// has to be a struct without pointers. It is safe for concurrent use.
type answers[K comparable, V any] struct {
	// request asks.
	request func(context.Context, K) (V, error)

	known  *cache.LRUExpireCache
	asking singleflight.Group
}

func newAnswers[K comparable, V any](request func(context.Context, K) (V, error)) *answers[K, V] {
	return &answers[K, V]{request: request, known: cache.NewLRUExpireCache(maxAnswers)}
}

// ask returns the answer to a question. The request runs on its own goroutine, so ctx bounds
// the wait even where client-go does not obey one.
func (a *answers[K, V]) ask(ctx context.Context, question K) (answer V, err error) {
	patience := time.NewTimer(kinds.RequestTimeout + time.Second)
	defer patience.Stop()
	for {
		if known, ok := a.known.Get(question); ok {
			answer, _ = known.(V)
			return answer, nil
		}
		result := a.asking.DoChan(fmt.Sprintf("%#v", question), func() (any, error) { return a.fetch(ctx, question) })
		select {
		case r := <-result:
			if r.Err == nil {
				answer, _ = r.Val.(V)
				return answer, nil
			}
			if ctx.Err() != nil || !errors.Is(r.Err, context.Canceled) {
				return answer, r.Err
			}
			// The caller whose request it was has gone: ask again.
		case <-patience.C:
			return answer, kinds.ErrHung
		case <-ctx.Done():
			return answer, context.Cause(ctx)
		}
	}
}

func (a *answers[K, V]) fetch(ctx context.Context, question K) (answer V, err error) {
	limited, cancel := context.WithTimeout(ctx, kinds.RequestTimeout)
	defer cancel()
	answer, err = a.request(limited, question)
	if err == nil {
		a.known.Add(question, answer, answerAge)
	}
	return answer, err
}
