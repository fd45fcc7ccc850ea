package pagetest

import (
	"time"

	"kooperd.dev/kooperd/pkg/status"
	"kooperd.dev/kooperd/pkg/statusz"
)

// leader and standby are the names of two replicas.
const (
	leader  = "kooperd-7d9f8b6c5-x2x4q_3b1f0c9e-8a44-4d0e-9a53-0f5f6f0a2c11"
	standby = "kooperd-7d9f8b6c5-9kq2m_5e0c8f3a-1b2c-4d5e-8f90-a1b2c3d4e5f6"
)

// Standby reports a replica that does not lead, on which all is well.
func Standby() *Reporter {
	return idle(standby, statusz.Leadership{Holder: leader, Since: before(3 * time.Hour), Renewed: before(time.Second)})
}

// Nobody reports a replica that sees that nobody leads.
func Nobody() *Reporter { return idle(standby, statusz.Leadership{}) }

// CutOff reports a standby that has not seen the lease change for longer than it lasts.
func CutOff() *Reporter {
	return idle(standby, statusz.Leadership{Holder: leader, Since: before(3 * time.Hour), Renewed: before(4 * time.Minute), Expired: true})
}

// Lost reports a replica that has lost the lease, and sees nobody who has taken it.
func Lost() *Reporter {
	return idle(leader, statusz.Leadership{Holder: leader, Since: before(3 * time.Hour), Renewed: before(4 * time.Minute), Expired: true})
}

// Starting reports a replica that has not read the lease yet.
func Starting() *Reporter { return idle(standby, statusz.Leadership{Unread: true}) }

// idle reports a replica that does not work. What it knows of objects are those of the definition
// that runs on every replica, and those in its caches.
func idle(name string, lease statusz.Leadership) *Reporter {
	r := Everything()
	lease.Lease = r.Whole.Leadership.Lease
	r.Whole.Process.Name, r.Whole.Leadership = name, lease
	r.Whole.Ready, r.Whole.Awaited, r.Whole.Config.Refused, r.Whole.Objects = true, nil, nil, statusz.Objects{}
	r.Whole.History = statusz.History{Enabled: true, Objects: 4, Handlings: 12, Bytes: 6_000, Limit: r.Whole.History.Limit}
	for i := range r.Whole.Definitions {
		d := &r.Whole.Definitions[i]
		if !d.EveryReplica {
			*d = statusz.Definition{Name: d.Name, Plugin: d.Plugin, APIVersion: d.APIVersion, Kind: d.Kind, Calls: calls(0, 0, 0, 0, 0, 0)}
		}
		d.Status = in(status.Running, 3*time.Hour, "")
	}
	for i := range r.Whole.Sources {
		r.Whole.Sources[i].Status = in(status.Running, 3*time.Hour, "")
	}
	for _, o := range r.Objects {
		o.Leading = false
		for i := range o.Definitions {
			d := &o.Definitions[i]
			*d = statusz.ObjectIn{Definition: d.Definition, Cached: d.Cached, Matches: d.Matches, Waiting: "this replica: it does not work on the definition"}
		}
		for i := range o.ChildOf {
			o.ChildOf[i].Reason = ""
		}
	}
	return r
}
