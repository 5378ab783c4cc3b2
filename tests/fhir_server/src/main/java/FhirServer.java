import ca.uhn.fhir.batch2.jobs.config.Batch2JobsConfig;
import ca.uhn.fhir.context.FhirContext;
import ca.uhn.fhir.interceptor.api.Hook;
import ca.uhn.fhir.interceptor.api.Interceptor;
import ca.uhn.fhir.interceptor.api.Pointcut;
import ca.uhn.fhir.jpa.api.config.JpaStorageSettings;
import ca.uhn.fhir.jpa.api.config.JpaStorageSettings.ClientIdStrategyEnum;
import ca.uhn.fhir.jpa.api.config.ThreadPoolFactoryConfig;
import ca.uhn.fhir.jpa.batch2.JpaBatch2Config;
import ca.uhn.fhir.jpa.binstore.DatabaseBinaryContentStorageSvcImpl;
import ca.uhn.fhir.jpa.config.HapiJpaConfig;
import ca.uhn.fhir.jpa.config.r4.JpaR4Config;
import ca.uhn.fhir.jpa.config.util.HapiEntityManagerFactoryUtil;
import ca.uhn.fhir.jpa.model.config.PartitionSettings;
import ca.uhn.fhir.jpa.model.config.SubscriptionSettings;
import ca.uhn.fhir.jpa.model.dialect.HapiFhirH2Dialect;
import ca.uhn.fhir.jpa.provider.IJpaSystemProvider;
import ca.uhn.fhir.jpa.search.DatabaseBackedPagingProvider;
import ca.uhn.fhir.jpa.subscription.channel.config.SubscriptionChannelConfig;
import ca.uhn.fhir.rest.api.EncodingEnum;
import ca.uhn.fhir.rest.api.server.RequestDetails;
import ca.uhn.fhir.rest.server.RestfulServer;
import ca.uhn.fhir.rest.server.exceptions.AuthenticationException;
import ca.uhn.fhir.rest.server.provider.ResourceProviderFactory;
import jakarta.persistence.EntityManagerFactory;
import java.net.InetAddress;
import java.net.InetSocketAddress;
import java.util.Properties;
import javax.sql.DataSource;
import org.apache.commons.dbcp2.BasicDataSource;
import org.eclipse.jetty.ee10.servlet.ServletContextHandler;
import org.eclipse.jetty.ee10.servlet.ServletHolder;
import org.eclipse.jetty.server.Server;
import org.springframework.beans.factory.config.ConfigurableListableBeanFactory;
import org.springframework.context.annotation.AnnotationConfigApplicationContext;
import org.springframework.context.annotation.Bean;
import org.springframework.context.annotation.Configuration;
import org.springframework.context.annotation.Import;
import org.springframework.orm.jpa.JpaTransactionManager;
import org.springframework.orm.jpa.LocalContainerEntityManagerFactoryBean;

/**
 * A HAPI FHIR R4 server for the tests: {@code java FhirServer 18080} serves http://127.0.0.1:18080/fhir from memory until it is ended.
 * With {@code -Dtoken=T} the same charts are also at /guarded, where a call without {@code Authorization: Bearer T} gets 401.
 */
@Configuration
@Import({
    JpaR4Config.class, HapiJpaConfig.class, ThreadPoolFactoryConfig.class, JpaBatch2Config.class, Batch2JobsConfig.class,
    SubscriptionChannelConfig.class
})
public class FhirServer {
    private static final String TOKEN = System.getProperty("token");
    private static final String GUARDED = "/guarded";

    public static void main(String[] args) throws Exception {
        var context = new AnnotationConfigApplicationContext();
        context.addBeanFactoryPostProcessor(FhirServer::buildNothingBeforeItIsNeeded);
        context.register(FhirServer.class);
        context.refresh();

        var fhir = new ServletHolder(context.getBean(RestfulServer.class));
        var servlets = new ServletContextHandler();
        servlets.addServlet(fhir, "/fhir/*");
        if (TOKEN != null) servlets.addServlet(fhir, GUARDED + "/*");
        var jetty = new Server(new InetSocketAddress(InetAddress.getLoopbackAddress(), Integer.parseInt(args[0])));
        jetty.setHandler(servlets);
        jetty.start();
    }

    private static void buildNothingBeforeItIsNeeded(ConfigurableListableBeanFactory beans) {
        for (var name : beans.getBeanDefinitionNames()) beans.getBeanDefinition(name).setLazyInit(true);
    }

    @Bean
    public RestfulServer server(
            FhirContext fhir, ResourceProviderFactory resources, IJpaSystemProvider system, DatabaseBackedPagingProvider pages) {
        var server = new RestfulServer(fhir);
        server.registerProviders(resources.createProviders());
        server.registerProvider(system);
        server.setDefaultResponseEncoding(EncodingEnum.JSON);
        pages.setDefaultPageSize(20);
        pages.setMaximumPageSize(200);
        server.setPagingProvider(pages);
        server.registerInterceptor(new Guard());
        return server;
    }

    @Bean
    public JpaStorageSettings storage() {
        var storage = new JpaStorageSettings();
        storage.setResourceClientIdStrategy(ClientIdStrategyEnum.ANY); // a chart is put under the ids that it has
        storage.setEnforceReferentialIntegrityOnWrite(false); // real charts point at what is not there
        storage.setEnforceReferentialIntegrityOnDelete(false);
        storage.setAllowExternalReferences(true);
        storage.setReuseCachedSearchResultsForMillis(null); // a search after a write sees what was written
        storage.setSchedulingDisabled(true);
        storage.setHibernateSearchIndexFullText(false);
        storage.setHibernateSearchIndexSearchParams(false);
        return storage;
    }

    @Bean
    public DataSource database() {
        var database = new BasicDataSource();
        database.setUrl("jdbc:h2:mem:charts;DB_CLOSE_DELAY=-1");
        database.setMaxTotal(40); // a call to the service reads some fifteen searches at once
        return database;
    }

    @Bean
    public LocalContainerEntityManagerFactoryBean entityManagerFactory(
            DataSource database, ConfigurableListableBeanFactory beans, FhirContext fhir, JpaStorageSettings storage) {
        var factory = HapiEntityManagerFactoryUtil.newEntityManagerFactory(beans, fhir, storage);
        factory.setPersistenceUnitName("charts");
        factory.setDataSource(database);
        var hibernate = new Properties();
        hibernate.setProperty("hibernate.dialect", HapiFhirH2Dialect.class.getName());
        hibernate.setProperty("hibernate.hbm2ddl.auto", "create");
        hibernate.setProperty("hibernate.search.enabled", "false");
        factory.setJpaProperties(hibernate);
        return factory;
    }

    @Bean
    public JpaTransactionManager transactionManager(EntityManagerFactory factory) {
        return new JpaTransactionManager(factory);
    }

    @Bean
    public PartitionSettings partitions() {
        return new PartitionSettings();
    }

    @Bean
    public SubscriptionSettings subscriptions() {
        return new SubscriptionSettings();
    }

    @Bean
    public DatabaseBinaryContentStorageSvcImpl binaries() {
        return new DatabaseBinaryContentStorageSvcImpl();
    }

    /** Under {@link #GUARDED} lets nothing pass that lacks the token, a read of the capability statement neither. */
    @Interceptor
    public static class Guard {
        @Hook(Pointcut.SERVER_INCOMING_REQUEST_PRE_HANDLED)
        public void check(RequestDetails request) {
            if (request.getFhirServerBase().endsWith(GUARDED) && !("Bearer " + TOKEN).equals(request.getHeader("Authorization")))
                throw new AuthenticationException("no valid bearer token");
        }
    }
}
