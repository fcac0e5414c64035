package console

import (
	"net/http"
	"net/url"
	"path"
	"strings"

	"broker/api/types"
)

func (c *Console) signInRoutes() {
	c.mux.Handle("GET /ui/signin", c.openPage(c.signIn))
	c.mux.Handle("POST /ui/signin", c.openPage(c.signIn))
	c.mux.Handle("POST /ui/signout", c.openPage(c.signOut))
	c.mux.Handle("POST /ui/theme", c.openPage(c.setTheme))
}

// signInView is what the page to sign in shows.
type signInView struct {
	Form  *form
	Next  string
	Token bool // by a token, rather than by name and password
	Ended bool // a session did
	Left  bool // one was signed out of, which the ledger was not told
}

func (c *Console) signIn(p *page) error {
	f := p.form(nil)
	view := signInView{Form: f, Next: localPath(f.get("next")), Token: f.get("by") == "token", Ended: f.get("ended") != "", Left: f.get("left") != ""}
	if p.posted() {
		token, err := p.makeSession(f, view.Token)
		if err == nil {
			if err := p.endSession(); err != nil { // of whoever was signed in here before
				c.log.WarnContext(p.ctx, "a session was not ended by signing in anew", "error", err)
			}
			http.SetCookie(p.w, c.cookie(p.r, token.Token))
			return p.redirect(view.Next)
		}
		// What was typed in secret is not sent back.
		f.Values.Del("token")
		f.Values.Del("password")
		if !f.refused(err) {
			return err
		}
	}
	return p.show(screen{Title: "Sign in", Template: "signin", Data: view, Status: f.Status, Bare: true})
}

// makeSession has the ledger make the token that a session is.
func (p *page) makeSession(f *form, byToken bool) (types.Token, error) {
	idle := types.Duration(idleTTL)
	if !byToken {
		name, password := strings.TrimSpace(f.get("username")), f.get("password")
		if name == "" {
			f.Errors["username"] = "the account's name"
		}
		if password == "" {
			f.Errors["password"] = "its password"
		}
		if len(f.Errors) > 0 {
			return types.Token{}, errForm
		}
		return p.Client.SignInPassword(p.ctx, types.PasswordSignIn{Username: name, Password: password, Description: sessionName, IdleTTL: &idle})
	}
	text := strings.TrimSpace(f.get("token"))
	if text == "" {
		f.Errors["token"] = "a token, as brokerctl login or a colleague with the right to make one gives it"
		return types.Token{}, errForm
	}
	own, err := p.clientOf(text)
	if err != nil {
		return types.Token{}, err
	}
	ttl := types.Duration(sessionTTL)
	token, err := own.CreateToken(p.ctx, types.TokenSpec{TTL: &ttl, IdleTTL: &idle, Description: sessionName})
	if isUnauthenticated(err) {
		f.Errors["token"] = "it is not valid: mistyped, expired, deleted, or not good from this network"
		return types.Token{}, errForm
	}
	return token, err
}

// signOut ends the session in the ledger, with what was made with it. The browser forgets it in any case.
func (c *Console) signOut(p *page) error {
	c.dropCookie(p.w, p.r)
	if err := p.endSession(); err != nil && !isUnauthenticated(err) {
		c.log.WarnContext(p.ctx, "a session was not ended by signing out", "error", err)
		return p.redirect("/ui/signin?left=1")
	}
	return p.redirect("/ui/signin")
}

// endSession ends the session that the browser has, if any.
func (p *page) endSession() error {
	if p.token == "" {
		return nil
	}
	p.console.sessions.drop(p.token)
	_, err := p.Client.DeleteToken(p.ctx, "self")
	return err
}

// themeCookie holds how the console looks: light, dark, or nothing for as the browser does.
const themeCookie = "broker-theme"

func (c *Console) setTheme(p *page) error {
	f := p.form(nil)
	cookie := &http.Cookie{Name: themeCookie, Value: f.get("theme"), Path: "/ui/", SameSite: http.SameSiteStrictMode, HttpOnly: true, Secure: c.config.Encrypted(p.r), MaxAge: 365 * 24 * 3600}
	if v := cookie.Value; v != "light" && v != "dark" {
		cookie.Value, cookie.MaxAge = "", -1
	}
	http.SetCookie(p.w, cookie)
	return p.redirect(localPath(f.get("next")))
}

// localPath is a path of the console to go to: what is none is its beginning.
func localPath(next string) string {
	u, err := url.Parse(next)
	if err != nil || u.Scheme != "" || u.Host != "" || !strings.HasPrefix(path.Clean(u.Path)+"/", "/ui/") || strings.HasPrefix(u.Path, "/ui/sign") || strings.ContainsAny(next, "\\\r\n") {
		return "/ui/"
	}
	return u.RequestURI()
}
