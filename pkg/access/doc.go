// Package access says which rights at the API server a config needs, as RBAC rules, and asks the API server which of them are
// missing. It decides nothing and grants nothing: who may do what is the cluster's to say.
//
//	needs, err := access.OfConfig(ctx, cfg, "platform", access.BuiltIn())
//	grants := access.Collect(needs)
package access
