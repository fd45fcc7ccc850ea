package access

import (
	"context"
	"errors"
	"fmt"
	"time"

	"golang.org/x/sync/singleflight"
	"k8s.io/apimachinery/pkg/util/cache"
)

const (
	// answerAge is how long an answer is good for: definitions that start together need the same
	// rights.
	answerAge = 10 * time.Second
	// requestTimeout bounds one request.
	requestTimeout = 10 * time.Second
	// maxAnswers bounds the answers that are kept.
	maxAnswers = 4096
)

// errHung means that client-go has not returned although its context has ended.
var errHung = fmt.Errorf("%w; a credential plugin of the kubeconfig may hang", context.DeadlineExceeded)

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

// ask returns the answer to a question. The request runs on a goroutine of its own, so ctx bounds
// the wait even where client-go does not obey one.
func (a *answers[K, V]) ask(ctx context.Context, question K) (answer V, err error) {
	patience := time.NewTimer(requestTimeout + time.Second)
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
			return answer, errHung
		case <-ctx.Done():
			return answer, context.Cause(ctx)
		}
	}
}

func (a *answers[K, V]) fetch(ctx context.Context, question K) (answer V, err error) {
	limited, cancel := context.WithTimeout(ctx, requestTimeout)
	defer cancel()
	answer, err = a.request(limited, question)
	if err == nil {
		a.known.Add(question, answer, answerAge)
	}
	return answer, err
}
