package daemon

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"time"

	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/apimachinery/pkg/util/wait"
	"k8s.io/client-go/kubernetes/scheme"

	"kooperd.dev/kooperd/pkg/access"
	"kooperd.dev/kooperd/pkg/kinds"
)

// An API server serves a new kind some time before its OpenAPI has it: publishTimeout is how long
// that is waited for, and publishInterval how often it is looked for.
const (
	publishTimeout  = 3 * time.Second
	publishInterval = 200 * time.Millisecond
)

var errUnpublished = errors.New("the API server's OpenAPI does not have it")

// types reads the schemas of the custom kinds that the config names and that no file has.
func (c *liveCheck) types(ctx context.Context) error {
	wanted := map[schema.GroupVersionKind]string{} // the definition that names one first
	for _, def := range c.cfg.Definitions {
		if def.Paused || !def.Handler.Composes() && def.Filter == nil {
			continue
		}
		want := func(kind schema.GroupVersionKind) {
			if _, known := c.crds.Find(kind); !known && kind.Kind != "" && !scheme.Scheme.Recognizes(kind) {
				wanted[kind] = cmp.Or(wanted[kind], def.Name)
			}
		}
		want(def.Watch.Kind)
		for _, owned := range def.Handler.Owns() {
			want(owned.GroupVersionKind())
		}
		for _, related := range def.Handler.Reads() {
			want(related.GroupVersionKind())
		}
		for _, patched := range def.Handler.Patches() {
			want(patched.GroupVersionKind())
		}
	}
	custom, failed, err := publishedKinds(ctx, c.cluster.Kinds(), slices.SortedFunc(maps.Keys(wanted), compareKinds))
	for _, kind := range slices.SortedFunc(maps.Keys(failed), compareKinds) {
		c.found = append(c.found, access.Finding{
			Definition: wanted[kind], Optional: true,
			Message: fmt.Sprintf("expressions are not checked by the schema of %s in %s: %v", kind.Kind, kind.GroupVersion(), failed[kind]),
		})
	}
	c.custom = custom
	return err
}

func compareKinds(a, b schema.GroupVersionKind) int { return cmp.Compare(a.String(), b.String()) }

// publishedKinds returns what the API server's OpenAPI says of kinds, and why it says nothing of
// those of failed, which are served. It waits a moment for kinds that have just come. The error is
// the cause of the end of ctx.
func publishedKinds(ctx context.Context, discovery *kinds.Discovery, wanted []schema.GroupVersionKind) (
	found kinds.CustomKinds, failed map[schema.GroupVersionKind]error, err error,
) {
	failed = map[schema.GroupVersionKind]error{}
	limited, cancel := context.WithTimeout(ctx, publishTimeout)
	defer cancel()
	// Errors of a poll are that of limited, which is no error, and that of ctx, which comes below.
	_ = wait.PollUntilContextCancel(limited, publishInterval, true, func(context.Context) (bool, error) {
		some, documents, err := discovery.CustomKinds(ctx, wanted)
		if err != nil {
			return false, err
		}
		found = slices.Concat(found, some)
		wanted = slices.DeleteFunc(wanted, func(kind schema.GroupVersionKind) bool {
			delete(failed, kind)
			if _, known := some.Find(kind); known {
				return true
			}
			if _, err := discovery.Kind(ctx, kind); err != nil {
				return true // Who asks for the rights says why it is not served.
			}
			failed[kind] = cmp.Or(documents[kind.GroupVersion()], errUnpublished)
			return documents[kind.GroupVersion()] != nil
		})
		return len(wanted) == 0, nil
	})
	if ctx.Err() != nil {
		return nil, nil, context.Cause(ctx)
	}
	return found, failed, nil
}
