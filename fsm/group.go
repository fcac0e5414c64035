package fsm

// Group is a set of accounts that have roles together.
type Group struct {
	Name        GroupName     `cbor:"1,keyasint"`
	Description string        `cbor:"2,keyasint,omitempty"`
	Members     []AccountName `cbor:"3,keyasint,omitempty"` // sorted
	CreatedAt   Instant       `cbor:"4,keyasint"`
	UpdatedAt   Instant       `cbor:"5,keyasint"`
	Version     uint64        `cbor:"6,keyasint"`
}

var groups = table[Group]{
	bucket:  "groups",
	key:     func(r *Group) []byte { return []byte(r.Name) },
	indexes: []index[Group]{{bucket: "groups_by_member", keys: groupMemberKeys}},
}

func groupMemberKeys(r *Group) [][]byte {
	list := make([][]byte, len(r.Members))
	for i, name := range r.Members {
		list[i] = []byte(name)
	}
	return list
}

// Group returns the group of that name.
func (v *View) Group(name GroupName) (Group, bool) { return groups.read(v, []byte(name)) }

// Groups returns up to limit groups in order of name, beginning after the one named.
func (v *View) Groups(after GroupName, limit int) []Group {
	return page(v.tx, groups, []byte(after), limit, nil)
}

// GroupsOf returns the groups that an account is in, in order of name.
func (v *View) GroupsOf(account AccountName) []GroupName {
	var list []GroupName
	eachRow(v.tx, "groups_by_member", []byte(account), nil, false, func(k []byte) bool {
		list = append(list, GroupName(k))
		return true
	})
	return list
}
