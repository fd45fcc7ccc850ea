package statusz

import "time"

// Leadership is the lease as this replica sees it.
type Leadership struct {
	// Disabled says that there is no lease.
	Disabled bool `json:"disabled,omitempty"`
	// Unneeded says that this replica does not lead, and that no definition needs the lease: all
	// that are not paused run on every replica. It may compete for the lease all the same, if a
	// definition has needed it before, and another replica may hold it.
	Unneeded bool `json:"unneeded,omitempty"`
	// Leading says that this replica works.
	Leading bool `json:"leading"`
	// Lease is its namespace and name, as NAMESPACE/NAME.
	Lease string `json:"lease,omitempty"`
	// Unread says that this replica has not been able to read the lease yet.
	Unread bool `json:"unread,omitempty"`
	// Holder is the identity of the replica that holds the lease, as far as this one has seen;
	// empty when nobody does. A replica that is named here and does not lead has lost the lease.
	Holder string `json:"holder,omitempty"`
	// Since is when the holder took the lease, or this replica saw it first.
	Since time.Time `json:"since,omitzero"`
	// Renewed is when this replica saw the lease change last, or has renewed it.
	Renewed time.Time `json:"renewed,omitzero"`
	// Expired says that this is longer ago than the lease lasts: the holder may have gone.
	Expired bool `json:"expired,omitempty"`
}

// Works says whether the replica handles the objects of all definitions, and so knows how they
// fare. Of the others, only a definition with EveryReplica is known to one that does not.
func (l Leadership) Works() bool { return l.Leading || l.Disabled || l.Unneeded }

// Leader is who leads, as far as a replica knows.
type Leader string

// Everything that a replica can know of who leads.
const (
	// LeaderItself: the replica leads, or needs no lease for its work.
	LeaderItself Leader = "itself"
	// LeaderOther: another one leads.
	LeaderOther Leader = "other"
	// LeaderGone: another one has not renewed the lease for longer than it lasts.
	LeaderGone Leader = "gone"
	// LeaderLost: the replica has lost the lease, and has seen nobody take it.
	LeaderLost Leader = "lost"
	// LeaderNobody: nobody holds the lease.
	LeaderNobody Leader = "nobody"
	// LeaderUnknown: the lease has not been read yet.
	LeaderUnknown Leader = "unknown"
)

// Leader says who leads.
func (r *Report) Leader() Leader {
	l := r.Leadership
	switch {
	case l.Works():
		return LeaderItself
	case l.Unread:
		return LeaderUnknown
	case l.Holder == "":
		return LeaderNobody
	case l.Holder == r.Process.Name:
		return LeaderLost
	case l.Expired:
		return LeaderGone
	default:
		return LeaderOther
	}
}
