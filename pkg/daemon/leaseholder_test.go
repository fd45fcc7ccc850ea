package daemon

import (
	"context"
	"errors"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	coordinationv1 "k8s.io/api/coordination/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime/schema"

	"kooperd.dev/kooperd/pkg/election"
)

// leases answers with a lease that changes in time.
type leases struct {
	election.LeaseClient
	now func() (*coordinationv1.Lease, error)
}

func (l leases) Get(context.Context, string, string) (*coordinationv1.Lease, error) { return l.now() }

func TestLeaseHolder(t *testing.T) {
	const lasts = 15 * time.Second
	held := func(version string, renewed time.Time) *coordinationv1.Lease {
		at := metav1.NewMicroTime(renewed)
		return &coordinationv1.Lease{
			ObjectMeta: metav1.ObjectMeta{ResourceVersion: version},
			Spec:       coordinationv1.LeaseSpec{HolderIdentity: new("pod-0"), LeaseDurationSeconds: new(int32(15)), RenewTime: &at},
		}
	}
	for name, tc := range map[string]struct {
		lease  func(since time.Duration, begin time.Time) (*coordinationv1.Lease, error)
		want   string
		none   bool // there is no lease
		err    string
		after  time.Duration
		waited bool
	}{
		"there is none": {
			lease: func(time.Duration, time.Time) (*coordinationv1.Lease, error) {
				return nil, apierrors.NewNotFound(schema.GroupResource{Resource: "leases"}, "kooperd")
			},
			none: true,
		},
		"a ConfigMap without a record": {
			lease: func(time.Duration, time.Time) (*coordinationv1.Lease, error) { return &coordinationv1.Lease{}, nil },
			none:  true,
		},
		"forbidden": {
			lease: func(time.Duration, time.Time) (*coordinationv1.Lease, error) { return nil, errors.New("forbidden") },
			none:  true, err: "looking for a leader at the lease kooper-system/kooperd: forbidden",
		},
		"released": {lease: func(_ time.Duration, begin time.Time) (*coordinationv1.Lease, error) {
			lease := held("1", begin)
			lease.Spec.HolderIdentity = new("")
			return lease, nil
		}},
		"held": {
			lease: func(_ time.Duration, begin time.Time) (*coordinationv1.Lease, error) { return held("1", begin), nil },
			want:  "pod-0",
		},
		"expired": {
			lease: func(_ time.Duration, begin time.Time) (*coordinationv1.Lease, error) {
				return held("1", begin.Add(-time.Hour)), nil
			},
			after: lasts, waited: true,
		},
		"expired in the future": {
			lease: func(_ time.Duration, begin time.Time) (*coordinationv1.Lease, error) {
				return held("1", begin.Add(time.Hour)), nil
			},
			after: lasts, waited: true,
		},
		"renewed by a clock that is late": {
			lease: func(since time.Duration, begin time.Time) (*coordinationv1.Lease, error) {
				if since < 2*time.Second {
					return held("1", begin.Add(-time.Hour)), nil
				}
				return held("2", begin.Add(-time.Hour+2*time.Second)), nil
			},
			want: "pod-0", after: 2 * time.Second, waited: true,
		},
		"released meanwhile": {
			lease: func(since time.Duration, begin time.Time) (*coordinationv1.Lease, error) {
				lease := held("1", begin.Add(-time.Hour))
				if since > 0 {
					lease = held("2", begin)
					lease.Spec.HolderIdentity = new("")
				}
				return lease, nil
			},
			after: time.Second, waited: true,
		},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				begin, waited := time.Now(), false
				h := &leaseHolder{namespace: "kooper-system", name: "kooperd"}
				h.leases = leases{now: func() (*coordinationv1.Lease, error) { return tc.lease(time.Since(begin), begin) }}
				h.waits = func(string, time.Duration) { waited = true }
				got, found, err := h.look(t.Context())
				if got != tc.want || found == tc.none || (err == nil) != (tc.err == "") || err != nil && !strings.Contains(err.Error(), tc.err) {
					t.Errorf("the holder is %q, of a lease: %t, %v, want %q, %t, %s", got, found, err, tc.want, !tc.none, tc.err)
				}
				if after := time.Since(begin); after != tc.after || waited != tc.waited {
					t.Errorf("it took %s and has said so: %t, want %s, %t", after, waited, tc.after, tc.waited)
				}
				if tc.after != lasts {
					return
				}
				if again, found, err := h.look(t.Context()); again != "" || !found || err != nil || time.Since(begin) != lasts {
					t.Errorf("at the second look, after %s: %q, %v", time.Since(begin), again, err)
				}
			})
		})
	}
}
