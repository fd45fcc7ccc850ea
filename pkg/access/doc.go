// Package access knows which rights at the API server a config needs, as RBAC rules, and asks the
// API server which of them are missing. It decides nothing and grants nothing: that is up to the
// cluster.
//
//	needs, err := access.OfConfig(ctx, cfg, access.ConfigSource{}, "platform", kinds.BuiltIn())
//	grants := access.Collect(needs)
package access
