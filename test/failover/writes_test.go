package failover_test

import (
	"cmp"
	"encoding/json"
	"slices"
	"strings"
	"testing"
	"time"

	coordinationv1 "k8s.io/api/coordination/v1"

	"kooperd.dev/kooperd/test/cluster"
	"kooperd.dev/kooperd/test/failover/marker"
)

// write is one write of a marker or of the lease that the API server has stored.
type write struct {
	rv uint64 // the revision of etcd; estimated when no watch has shown the write
	// received and answered are the API server's times of the request. For a write that is not in
	// the audit log, such as one of the test's own, both are when the watch showed it.
	received, answered time.Time
	by                 string                    // the replica whose account wrote; empty for any other client
	marker             *marker.Stamp             // nil for the lease
	lease              *coordinationv1.LeaseSpec // nil for a marker, and when the lease was deleted
	deleted            bool                      // the lease was deleted
	unconfirmed        bool                      // stored, although the API server did not answer so
}

// request is what the audit log says of a write.
type request struct {
	received, answered time.Time
	by                 string
	accepted           bool
	joined             bool // a watch has shown it, too
	marker             *marker.Stamp
	lease              *coordinationv1.LeaseSpec
}

// markerKey and leaseKey identify writes. Renewals carry their time, so no two of them are alike.
type markerKey struct {
	identity string
	pid      int
	write    int64
}

type leaseKey struct {
	holder                string
	renewed, acquired     int64
	duration, transitions int32
}

func markerKeyOf(s *marker.Stamp) markerKey { return markerKey{s.Identity, s.PID, s.Write} }

func leaseKeyOf(s *coordinationv1.LeaseSpec) leaseKey {
	var k leaseKey
	if s.HolderIdentity != nil {
		k.holder = *s.HolderIdentity
	}
	if !s.RenewTime.IsZero() {
		k.renewed = s.RenewTime.UnixMicro()
	}
	if !s.AcquireTime.IsZero() {
		k.acquired = s.AcquireTime.UnixMicro()
	}
	if s.LeaseDurationSeconds != nil {
		k.duration = *s.LeaseDurationSeconds
	}
	if s.LeaseTransitions != nil {
		k.transitions = *s.LeaseTransitions
	}
	return k
}

// writes returns everything that was stored since the scene began, in the order in which it was.
// The API server must answer.
func (s *scene) writes(t *testing.T) []write {
	t.Helper()
	requests := s.requests(t)
	s.awaitRecorded(t, requests)
	return merge(s.history.all(), requests)
}

// awaitRecorded waits until the watch has shown the last marker that the audit log has, if it ever
// will.
func (s *scene) awaitRecorded(t *testing.T, requests []*request) {
	t.Helper()
	for _, r := range slices.Backward(requests) {
		if r.accepted && r.marker != nil {
			key := markerKeyOf(r.marker)
			s.history.awaitWithin(t, 0, s.history.lag(), func(e event) bool { return e.marker != nil && markerKeyOf(e.marker) == key })
			return
		}
	}
}

// requests reads the writes of the scene's replicas from the audit log.
func (s *scene) requests(t *testing.T) []*request {
	t.Helper()
	var found []*request
	for _, e := range s.cluster.AuditSince(t, s.mark, s.namespace) {
		if e.ObjectRef.Namespace != s.namespace || !e.IsWrite() {
			continue
		}
		r := &request{
			received: e.RequestReceived.Time, answered: e.Answered.Time,
			accepted: e.ResponseStatus.Code >= 200 && e.ResponseStatus.Code < 300,
		}
		var ours bool
		if r.by, ours = strings.CutPrefix(e.User.Username, s.accountPrefix()); ours && r.read(t, e) {
			found = append(found, r)
		}
	}
	return found
}

// read reads the body of a request and reports whether it is about a marker or the lease. A body
// that did not arrive is of a request that was not accepted.
func (r *request) read(t *testing.T, e cluster.AuditEvent) bool {
	t.Helper()
	switch {
	case len(e.RequestObject) == 0 && !r.accepted:
		return false
	case e.ObjectRef.Resource == "configmaps" && e.Verb == "patch":
		var patch struct{ Data map[string]string }
		decode(t, e.RequestObject, &patch)
		stamp, err := marker.Parse(patch.Data)
		if err != nil {
			t.Fatalf("reading the audit log: %v", err)
		}
		r.marker = &stamp
		return true
	case e.ObjectRef.Resource == "leases" && (e.Verb == "create" || e.Verb == "update"):
		lease := &coordinationv1.Lease{}
		decode(t, e.RequestObject, lease)
		r.lease = &lease.Spec
		return true
	default:
		return false
	}
}

func decode(t *testing.T, data []byte, into any) {
	t.Helper()
	if err := json.Unmarshal(data, into); err != nil {
		t.Fatalf("reading the audit log: %v in %q", err, data)
	}
}

// merge joins what the watch has shown with what the audit log says about it.
func merge(events []event, requests []*request) []write {
	markers, leases := map[markerKey]*request{}, map[leaseKey]*request{}
	for _, r := range requests {
		if r.marker != nil {
			markers[markerKeyOf(r.marker)] = r
		} else if key := leaseKeyOf(r.lease); leases[key] == nil || r.accepted {
			leases[key] = r
		}
	}
	var all []write
	for _, e := range events {
		w := write{rv: e.rv, received: e.seen, answered: e.seen, marker: e.marker, lease: e.lease, deleted: e.deleted}
		var r *request
		switch {
		case e.marker != nil:
			r = markers[markerKeyOf(e.marker)]
		case e.lease != nil:
			r = leases[leaseKeyOf(e.lease)]
		}
		if r != nil && !r.joined {
			r.joined = true
			w.received, w.answered, w.by, w.unconfirmed = r.received, r.answered, r.by, !r.accepted
		}
		all = append(all, w)
	}
	slices.SortStableFunc(all, func(a, b write) int { return cmp.Compare(a.rv, b.rv) })
	return insertUnseen(all, requests)
}

// insertUnseen puts what was accepted while no watch was open into its place, by the time of the
// answer.
func insertUnseen(all []write, requests []*request) []write {
	for _, r := range requests {
		if !r.accepted || r.joined {
			continue
		}
		at := len(all)
		for at > 0 && all[at-1].answered.After(r.answered) {
			at--
		}
		w := write{received: r.received, answered: r.answered, by: r.by, marker: r.marker, lease: r.lease}
		if at > 0 {
			w.rv = all[at-1].rv
		}
		all = slices.Insert(all, at, w)
	}
	return all
}

// markersBy returns the writes of markers by one identity.
func markersBy(all []write, identity string) []write {
	var found []write
	for _, w := range all {
		if w.marker != nil && w.marker.Identity == identity {
			found = append(found, w)
		}
	}
	return found
}

// holdsBy returns the writes of the lease that name an identity as the holder.
func holdsBy(all []write, identity string) []write {
	var found []write
	for _, w := range all {
		if w.lease != nil && leaseKeyOf(w.lease).holder == identity {
			found = append(found, w)
		}
	}
	return found
}
