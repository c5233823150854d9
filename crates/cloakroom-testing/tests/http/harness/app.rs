//! One application for every framework: the same routes, handlers and layers, and the same handlers' text.

use std::collections::BTreeMap;
use std::sync::Arc;

use actix_web::HttpServer;
use actix_web::middleware::Compat;
use actix_web::web::{self, ServiceConfig};
use axum::Router;
use axum::routing::MethodRouter;
use cloakroom::SessionFields;
use cloakroom_actix::CsrfMiddleware;
use cloakroom_web::{DbscLayer, Require, SessionLayer};
use tower_http::csrf::CsrfLayer;

/// A framework that the suite judges.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Framework {
    Axum,
    Actix,
}

type ActixRoute = Arc<dyn Fn() -> actix_web::Route + Send + Sync>;
pub(crate) type Configure = Arc<dyn Fn(&mut ServiceConfig) + Send + Sync>;

/// What answers at one path, by method.
#[derive(Clone, Default)]
pub(crate) struct Methods {
    axum: MethodRouter,
    actix: Vec<ActixRoute>,
}

macro_rules! methods {
    ($($method:ident $add:ident),*) => { $(
        pub(crate) fn $method<H, A, B>(handler: H) -> Methods
        where
            H: axum::handler::Handler<A, ()> + actix_web::Handler<B> + Clone + Send + Sync + 'static,
            A: 'static,
            B: actix_web::FromRequest + 'static,
            <H as actix_web::Handler<B>>::Output: actix_web::Responder + 'static,
        {
            Methods::default().$method(handler)
        }

        impl Methods {
            pub(crate) fn $method<H, A, B>(mut self, handler: H) -> Self
            where
                H: axum::handler::Handler<A, ()> + actix_web::Handler<B> + Clone + Send + Sync + 'static,
                A: 'static,
                B: actix_web::FromRequest + 'static,
                <H as actix_web::Handler<B>>::Output: actix_web::Responder + 'static,
            {
                self.axum = self.axum.$method(handler.clone());
                self.actix.push(Arc::new(move || web::$method().to(handler.clone())));
                self
            }
        }
    )* };
}

methods!(get add_get, post add_post);

/// An application before it is started on one of the frameworks.
#[derive(Clone, Default)]
pub(crate) struct App {
    axum: Router,
    /// By path, as actix-web writes it.
    actix: BTreeMap<String, Vec<ActixRoute>>,
    /// Around all routes so far, the innermost first.
    layers: Vec<Arc<dyn Around>>,
}

/// A layer or a guard, as each framework adds it.
pub(crate) trait Around: Send + Sync + 'static {
    fn axum(&self, router: Router, is_for_routes: bool) -> Router;
    fn route(&self, route: actix_web::Route) -> actix_web::Route;
    fn scope(&self, inner: Configure) -> Configure;
}

macro_rules! around {
    ([$($generics:tt)*] $layer:ty, $axum:expr, $actix:expr) => {
        impl<$($generics)*> Around for $layer {
            fn axum(&self, router: Router, is_for_routes: bool) -> Router {
                let layer = $axum(self);
                if is_for_routes { router.route_layer(layer) } else { router.layer(layer) }
            }

            fn route(&self, route: actix_web::Route) -> actix_web::Route {
                route.wrap($actix(self))
            }

            fn scope(&self, inner: Configure) -> Configure {
                let this = self.clone();
                Arc::new(move |app| {
                    let inner = Arc::clone(&inner);
                    let scope = web::scope("").configure(|app| inner(app));
                    app.service(scope.wrap(Compat::new($actix(&this))));
                })
            }
        }
    };
}

around!([T: SessionFields] SessionLayer<T>, Self::clone, Self::clone);
around!([T: cloakroom::HasDeviceKey] DbscLayer<T>, Self::clone, Self::clone);
around!([T: SessionFields] Require<T>, Self::clone, Self::clone);
around!([] Csrf, |_| CsrfLayer::new(), |_| CsrfMiddleware::default());

/// The defence against forged requests, by tower-http's rules.
#[derive(Clone, Copy)]
pub(crate) struct Csrf;

/// A middleware of the test's own: what it does before the rest of the request, in each framework.
#[derive(Clone)]
pub(crate) struct Middleware {
    pub(crate) axum: fn(Router) -> Router,
    pub(crate) actix: fn(Configure) -> Configure,
}

impl Around for Middleware {
    fn axum(&self, router: Router, _: bool) -> Router {
        (self.axum)(router)
    }

    fn route(&self, _: actix_web::Route) -> actix_web::Route {
        unreachable!("it is around everything")
    }

    fn scope(&self, inner: Configure) -> Configure {
        (self.actix)(inner)
    }
}

/// Makes a [`Middleware`] of two functions, one for each framework's `from_fn`.
macro_rules! middleware {
    ($axum:path, $actix:path) => {
        crate::harness::Middleware {
            axum: |router| router.layer(axum::middleware::from_fn($axum)),
            actix: |inner| {
                std::sync::Arc::new(move |app| {
                    let inner = std::sync::Arc::clone(&inner);
                    let scope = actix_web::web::scope("").configure(|app| inner(app));
                    app.service(scope.wrap(actix_web::middleware::from_fn($actix)));
                })
            },
        }
    };
}

pub(crate) use middleware;

impl App {
    pub(crate) fn new() -> Self {
        Self::default()
    }

    pub(crate) fn route(mut self, path: &str, methods: Methods) -> Self {
        self = self.flattened();
        self.axum = self.axum.route(path, methods.axum);
        // What is left of the path, in each framework's words.
        self.actix.entry(path.replace("{*rest}", "{rest:.*}")).or_default().extend(methods.actix);
        self
    }

    pub(crate) fn merge(mut self, other: Self) -> Self {
        self = self.flattened();
        let other = other.flattened();
        self.axum = self.axum.merge(other.axum);
        for (path, routes) in other.actix {
            self.actix.entry(path).or_default().extend(routes);
        }
        self
    }

    pub(crate) fn nest(mut self, prefix: &str, other: Self) -> Self {
        self = self.flattened();
        let other = other.flattened();
        self.axum = self.axum.nest(prefix, other.axum);
        self.actix.extend(other.actix.into_iter().map(|(path, routes)| (format!("{prefix}{path}"), routes)));
        self
    }

    /// Adds a layer around everything.
    pub(crate) fn layer(mut self, layer: impl Around) -> Self {
        self.axum = layer.axum(self.axum, false);
        self.layers.push(Arc::new(layer));
        self
    }

    /// Adds a guard around each route so far.
    pub(crate) fn route_layer(mut self, guard: impl Around) -> Self {
        self.axum = guard.axum(self.axum, true);
        self.layers.push(Arc::new(guard));
        self.flattened()
    }

    /// In actix-web a scope around some of the routes would answer for all paths. So what is around some of them only is
    /// wrapped around each.
    fn flattened(mut self) -> Self {
        for layer in std::mem::take(&mut self.layers) {
            for route in self.actix.values_mut().flatten() {
                let (inner, layer) = (Arc::clone(route), Arc::clone(&layer));
                *route = Arc::new(move || layer.route(inner()));
            }
        }
        self
    }

    pub(crate) fn into_axum(self) -> Router {
        self.axum
    }

    fn configure(self) -> Configure {
        let Self { actix, layers, .. } = self;
        let routes: Configure = Arc::new(move |app| {
            for (path, routes) in &actix {
                let resource = web::resource(path.as_str());
                app.service(routes.iter().fold(resource, |resource, route| resource.route(route())));
            }
        });
        layers.iter().fold(routes, |inner, layer| layer.scope(inner))
    }

    /// Starts it on actix-web, with one worker. Returns where it listens.
    pub(super) fn start_on_actix(self) -> std::net::SocketAddr {
        let configure = self.configure();
        let app = move || {
            let configure = Arc::clone(&configure);
            actix_web::App::new().configure(move |app| configure(app))
        };
        let server = HttpServer::new(app).workers(1).disable_signals().bind("127.0.0.1:0").unwrap();
        let address = server.addrs()[0];
        tokio::spawn(server.run());
        address
    }
}
