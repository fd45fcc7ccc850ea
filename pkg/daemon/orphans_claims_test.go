package daemon

import (
	"context"
	"errors"
	"strings"
	"testing"
	"time"

	coordinationv1 "k8s.io/api/coordination/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime/schema"

	"kooperd.dev/kooperd/pkg/compose"
)

// lockAs is a lock that is held by somebody, or by nobody, or is not there.
func lockAs(holder *string) *leaseHolder {
	return &leaseHolder{leases: leases{now: func() (*coordinationv1.Lease, error) {
		if holder == nil {
			return nil, apierrors.NewNotFound(schema.GroupResource{Resource: "leases"}, "kooperd")
		}
		return &coordinationv1.Lease{ObjectMeta: metav1.ObjectMeta{ResourceVersion: "1"}, Spec: coordinationv1.LeaseSpec{
			HolderIdentity: holder, LeaseDurationSeconds: new(int32(15)), RenewTime: new(metav1.NewMicroTime(time.Now())),
		}}, nil
	}}}
}

func TestClaims(t *testing.T) {
	there := map[string]compose.Record{"old": {Scope: compose.Scope{Kind: "Website"}}}
	held, free := new("pod-0"), new("")
	for name, tc := range map[string]struct {
		lease, configMap *string
		disabled         bool
		records          map[string]compose.Record
		want             string
	}{
		"a leader by a lease":                       {lease: held, records: there, want: "definition old is active: pod-0 leads"},
		"a leader by a ConfigMap":                   {configMap: held, records: there, want: "definition old is active: pod-0 leads"},
		"a leader by a ConfigMap, and an old lease": {lease: free, configMap: held, records: there, want: "definition old is active: pod-0 leads"},
		"a leader without the definition":           {lease: held, records: map[string]compose.Record{}},
		"a leader without records":                  {lease: held, want: "pod-0 leads, and there is no ConfigMap"},
		"a leader that has released":                {lease: free, records: there},
		"no lock":                                   {records: there, want: "definition old is active by ConfigMap "},
		"no lock, and no definition":                {records: map[string]compose.Record{}},
		"no lock, and no records":                   {},
		"without leader election":                   {disabled: true, lease: free, records: there, want: "definition old is active by ConfigMap "},
		"a leader that the file does not expect":    {disabled: true, lease: held, records: there, want: "definition old is active: pod-0 leads"},
	} {
		said := 0
		c := &claims{
			note:    func(string) { said++ },
			holders: []*leaseHolder{lockAs(tc.lease), lockAs(tc.configMap)}, disabled: tc.disabled,
			records: func(context.Context) (map[string]compose.Record, bool, error) {
				return tc.records, tc.records != nil, nil
			},
		}
		got, err := c.why(t.Context(), "old")
		_, _ = c.why(t.Context(), "old")
		if released := !tc.disabled && tc.want == "" && tc.lease == free; said > 1 || (said == 1) != released {
			t.Errorf("%s: it says %d times that nobody holds the lock; released: %t", name, said, released)
		}
		if err != nil || !strings.HasPrefix(got, tc.want) || (got == "") != (tc.want == "") {
			t.Errorf("%s: %q, %v, want %q", name, got, err, tc.want)
		}
	}
}

func TestClaimsNeedAnAnswer(t *testing.T) {
	broken := errors.New("broken")
	forbidden := &leaseHolder{leases: leases{now: func() (*coordinationv1.Lease, error) { return nil, broken }}}
	for name, c := range map[string]*claims{
		"a lock":      {holders: []*leaseHolder{lockAs(new("")), forbidden}},
		"the records": {records: func(context.Context) (map[string]compose.Record, bool, error) { return nil, false, broken }},
	} {
		if got, err := c.why(t.Context(), "old"); got != "" || !errors.Is(err, broken) {
			t.Errorf("%s: %q, %v, want %v", name, got, err, broken)
		}
	}
}
