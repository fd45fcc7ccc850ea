package compose

import (
	"context"
	"errors"
	"fmt"
	"io"
	"strings"
	"testing"
	"time"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/apimachinery/pkg/util/validation/field"

	"kooperd.dev/kooperd/pkg/handlers"
	"kooperd.dev/kooperd/pkg/kinds"
	"kooperd.dev/kooperd/pkg/kube"
)

func TestReasonFor(t *testing.T) {
	maps := schema.GroupResource{Resource: "configmaps"}
	terminating := apierrors.NewForbidden(maps, "a", errors.New("the namespace is being terminated"))
	terminating.ErrStatus.Details.Causes = []metav1.StatusCause{{Type: "NamespaceTerminating"}}
	invalid := func(path *field.Path) error {
		return apierrors.NewInvalid(configMapKind.GroupKind(), "a", field.ErrorList{field.Invalid(path, "x", "no")})
	}
	tests := map[string]struct {
		err  error
		want Reason
		slow bool // only a change helps
	}{
		"a conflict between managers": {
			err:  apierrors.NewApplyConflict([]metav1.StatusCause{{Type: metav1.CauseTypeFieldManagerConflict, Field: ".data.a"}}, "conflict"),
			want: ReasonConflict, slow: true,
		},
		"a stale version":          {err: apierrors.NewConflict(maps, "a", errDamaged), want: reasonStale},
		"there already":            {err: apierrors.NewAlreadyExists(maps, "a"), want: reasonStale},
		"another UID":              {err: invalid(field.NewPath("metadata", "uid")), want: reasonStale},
		"a namespace that ends":    {err: terminating, want: reasonTerminating, slow: true},
		"quota":                    {err: apierrors.NewForbidden(maps, "a", errors.New("exceeded quota: small")), want: reasonQuota, slow: true},
		"forbidden":                {err: apierrors.NewForbidden(maps, "a", errDamaged), want: reasonForbidden, slow: true},
		"not served":               {err: &kinds.NotServedError{What: "kind Widget"}, want: reasonNotServed},
		"not found":                {err: apierrors.NewNotFound(maps, "a"), want: reasonNotFound, slow: true},
		"invalid":                  {err: invalid(field.NewPath("data")), want: reasonInvalid, slow: true},
		"a bad request":            {err: apierrors.NewBadRequest("x"), want: reasonInvalid, slow: true},
		"too large":                {err: apierrors.NewRequestEntityTooLargeError("x"), want: reasonInvalid, slow: true},
		"an internal error":        {err: apierrors.NewInternalError(errDamaged), want: reasonUnavailable},
		"too many requests":        {err: apierrors.NewTooManyRequests("x", 1), want: reasonUnavailable},
		"a timeout":                {err: context.DeadlineExceeded, want: reasonUnavailable},
		"a connection that breaks": {err: io.ErrUnexpectedEOF, want: reasonUnavailable},
		"a lost lease":             {err: kube.ErrNotLeading, want: reasonUnavailable},
	}
	for name, tc := range tests {
		t.Run(name, func(t *testing.T) {
			for _, err := range []error{tc.err, fmt.Errorf("applying: %w", tc.err)} {
				if got := reasonFor(err); got != tc.want {
					t.Errorf("reason %s, want %s", got, tc.want)
				}
			}
			failure := failed("applying", pageID, tc.err)
			if failure.reason != tc.want || !errors.Is(failure, tc.err) || !strings.HasPrefix(failure.Error(), "applying ConfigMap team-a/page: ") {
				t.Errorf("failure %v of reason %s", failure, failure.reason)
			}
			_, slow := errors.AsType[*slowError](slowly(failure, 1))
			if slow != tc.slow {
				t.Errorf("it is retried slowly: %v, want %v", slow, tc.slow)
			}
		})
	}
}

func TestSlowly(t *testing.T) {
	refused := &opError{reason: ReasonForeign, err: errDamaged}
	forbidden := failed("applying", pageID, apierrors.NewForbidden(schema.GroupResource{}, "a", errDamaged))
	tests := []struct {
		err     error
		attempt int
		want    time.Duration // 0: as the definition says
	}{
		{err: refused, want: time.Second}, {err: refused, attempt: 1, want: 2 * time.Second}, {err: refused, attempt: 3, want: 8 * time.Second},
		{err: refused, attempt: 9, want: 512 * time.Second}, {err: refused, attempt: 10, want: 10 * time.Minute},
		{err: refused, attempt: 1000, want: 10 * time.Minute}, {err: refused, attempt: -1, want: time.Second},
		{err: forbidden, want: 100 * time.Millisecond}, {err: forbidden, attempt: 1, want: 2 * time.Second},
		{err: &composeError{err: errDamaged}}, {err: kube.ErrNotLeading}, {err: errDamaged},
		{err: &opError{reason: reasonStale, err: errDamaged}}, {err: &opError{reason: reasonUnavailable, err: errDamaged}},
	}
	for _, tc := range tests {
		got := slowly(tc.err, tc.attempt)
		var delay time.Duration
		if after, ok := errors.AsType[interface {
			error
			RetryAfter() time.Duration
		}](got); ok {
			delay = after.RetryAfter()
		}
		if delay != tc.want || !errors.Is(got, tc.err) || got.Error() != tc.err.Error() {
			t.Errorf("%v at attempt %d: %v after %s, want after %s", tc.err, tc.attempt, got, delay, tc.want)
		}
	}
	if slowly(nil, 3) != nil {
		t.Error("no error becomes one")
	}
	if err := slowly(handlers.Terminal(&composeError{err: errDamaged}), 1); !handlers.IsTerminal(err) {
		t.Errorf("a terminal error becomes %v", err)
	}
}

func TestConflictText(t *testing.T) {
	var causes []metav1.StatusCause
	for _, path := range []string{".data.a", ".data.b", ".data.c", ".data.d"} {
		causes = append(causes, metav1.StatusCause{Type: metav1.CauseTypeFieldManagerConflict, Field: path, Message: `conflict with "kubectl"`})
	}
	want := `another field manager owns what the child sets: .data.a: conflict with "kubectl"; .data.b: conflict with "kubectl"; .data.c: conflict with "kubectl"`
	if got := conflictText(apierrors.NewApplyConflict(causes, "x"), "child"); got != want {
		t.Errorf("text %q, want %q", got, want)
	}
	if got := conflictText(errDamaged, "child"); got != errDamaged.Error() {
		t.Errorf("text of another error: %q", got)
	}
}

// An answer with thousands of mistakes names the first ones.
func TestJoinFirst(t *testing.T) {
	mistakes := make([]error, 12)
	for i := range mistakes {
		mistakes[i] = fmt.Errorf("mistake %d", i)
	}
	if err := joinFirst(mistakes[:10], "mistakes"); err == nil || strings.Contains(err.Error(), "more") {
		t.Errorf("ten mistakes are %v, want all of them", err)
	}
	want := "mistake 9\nand 2 more mistakes"
	if err := joinFirst(mistakes, "mistakes"); err == nil || !strings.HasSuffix(err.Error(), want) || strings.Contains(err.Error(), "mistake 10") {
		t.Errorf("twelve mistakes are %v, want %q at the end", err, want)
	}
	if err := joinFirst(nil, "mistakes"); err != nil {
		t.Error(err)
	}
}
