package access

// RuleText is for the external tests.
var RuleText = ruleText
